package serving

import (
	"testing"

	"github.com/scry-ml/scry/batch"
)

// TestYielding wants runs that give way to every other call's, and stay those of
// their tenant.
func TestYielding(t *testing.T) {
	usual := WithCall(t.Context(), batch.Call{Tenant: "shop", Priority: -2}) // the least that a tensor call may ask for
	got := CallOf((&Version{}).Yielding(usual))
	if got.Priority >= CallOf(usual).Priority || got.Tenant != "shop" {
		t.Errorf("call %+v", got)
	}
	if CallOf(usual).Priority != -2 {
		t.Error("the context that was given has changed")
	}
}
