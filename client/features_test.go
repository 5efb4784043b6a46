package client_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/client"
)

func TestFeatures(t *testing.T) {
	type contract string
	three := int8(3)
	got, err := client.Features(map[string]any{
		"tenure": 12, "charges": float32(0.5), "contract": contract("Two year"), "senior": true, "missing": nil,
		"since":  time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)),
		"number": json.Number("7"), "pointer": &three, "nothing": (*int)(nil), "unsigned": uint64(9),
		"events": []map[string]any{{"type": "visit", "amount": 1.5}, {"type": "buy"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(`{"tenure": 12, "charges": 0.5, "contract": "Two year", "senior": true, "missing": null,
		"since": "2026-01-02T02:04:05Z", "number": 7, "pointer": 3, "nothing": null, "unsigned": 9,
		"events": [{"type": "visit", "amount": 1.5}, {"type": "buy"}]}`), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFeaturesRefuses(t *testing.T) {
	for name, v := range map[string]any{
		"nan": math.NaN(), "inf": math.Inf(-1), "large": int64(1)<<53 + 1, "largeunsigned": uint64(math.MaxUint64),
		"jsonnumber": json.Number("9007199254740993"), "junknumber": json.Number("x"), "chan": make(chan int),
		"keys": map[int]string{1: "a"}, "deep": []any{map[string]any{"x": math.NaN()}},
	} {
		_, err := client.Features(map[string]any{name: v})
		if err == nil || !strings.Contains(err.Error(), `"`+name+`"`) {
			t.Errorf("%s: error %v does not name the feature", name, err)
		}
	}
	if _, err := client.Features(map[string]any{"edge": int64(1) << 53}); err != nil {
		t.Error(err)
	}
}
