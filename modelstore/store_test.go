package modelstore_test

import (
	"testing"

	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/modelstore/storetest"
)

func TestDirectoryStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, cfg modelstore.Config) *modelstore.Store {
		t.Helper()
		s, err := modelstore.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
