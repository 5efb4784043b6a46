package modelstore_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/scry-ml/scry/modelstore"
	"github.com/scry-ml/scry/modelstore/storetest"
)

type routeOp struct {
	kind    string // "activate", "rollback", "get"
	version int64  // to activate
	etag    string
}

type routeAnswer struct {
	revision, version int64
	err               error // one of the sentinels
}

// routeHistory is the model of a route: every revision's version, and the
// revision that a rollback restored.
type routeHistory struct {
	versions, restored []int64
}

func (h routeHistory) answer() routeAnswer {
	n := len(h.versions)
	if n == 0 {
		return routeAnswer{}
	}
	return routeAnswer{revision: int64(n), version: h.versions[n-1]}
}

func (h routeHistory) with(version, restored int64) routeHistory {
	return routeHistory{append(slices.Clip(h.versions), version), append(slices.Clip(h.restored), restored)}
}

func (h routeHistory) origin(revision int64) int64 {
	return cmp.Or(h.restored[revision-1], revision)
}

// next is what the operation must do to a history.
func (h routeHistory) next(op routeOp) (routeHistory, routeAnswer) {
	now := h.answer()
	etag := modelstore.EtagAbsent
	if now.revision > 0 {
		etag = fmt.Sprintf("r%d", now.revision)
	}
	if op.kind == "get" {
		return h, now
	}
	if op.etag != "" && op.etag != etag {
		return h, routeAnswer{err: modelstore.ErrConflict}
	}
	if op.kind == "activate" {
		if now.version != op.version {
			h = h.with(op.version, 0)
		}
		return h, h.answer()
	}
	if now.revision > 0 {
		for at := h.origin(now.revision); at > 1; {
			at = h.origin(at - 1)
			if v := h.versions[at-1]; v != now.version {
				h = h.with(v, at)
				return h, h.answer()
			}
		}
	}
	return h, routeAnswer{err: modelstore.ErrNoEarlierRoute}
}

// TestRouteIsLinearizable lets several clients move one route and asks whether
// some order of their calls, each between its start and its end, explains every
// answer.
func TestRouteIsLinearizable(t *testing.T) {
	ctx := t.Context()
	s, err := modelstore.Open(ctx, modelstore.Config{Dir: t.TempDir(), SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the test is over
	for seed := range uint64(4) {
		if _, _, err := storetest.Push(ctx, s, "churn", storetest.Files{"a": storetest.Random(seed, 10)}); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var history []porcupine.Operation
	var clients sync.WaitGroup
	start := time.Now()
	for client := range 4 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(client)))
			etag := modelstore.EtagAbsent
			for range 40 {
				op := routeOp{kind: "activate", version: 1 + random.Int64N(4)}
				switch random.IntN(4) {
				case 0:
					op = routeOp{kind: "rollback"}
				case 1:
					op = routeOp{kind: "get"}
				}
				if op.kind != "get" && random.IntN(2) == 0 {
					op.etag = etag
				}
				called := time.Since(start)
				route, err := doRoute(ctx, s, op)
				returned := time.Since(start)
				answer := routeAnswer{revision: route.Revision}
				if len(route.Entries) > 0 {
					answer.version = route.Entries[0].Version
				}
				if err == nil {
					etag = route.Etag
				} else {
					answer = routeAnswer{err: sentinelOf(err)}
				}
				mu.Lock()
				history = append(history, porcupine.Operation{
					ClientId: client, Input: op, Output: answer, Call: int64(called), Return: int64(returned),
				})
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	model := porcupine.Model{
		Init: func() any { return routeHistory{} },
		Step: func(state, input, output any) (bool, any) {
			after, want := state.(routeHistory).next(input.(routeOp))
			return want == output.(routeAnswer), after
		},
		Equal: func(a, b any) bool {
			return slices.Equal(a.(routeHistory).versions, b.(routeHistory).versions) &&
				slices.Equal(a.(routeHistory).restored, b.(routeHistory).restored)
		},
	}
	if result := porcupine.CheckOperationsTimeout(model, history, 20*time.Second); result != porcupine.Ok {
		t.Fatalf("the answers of %d calls: %s", len(history), result)
	}
	conflicts := 0
	for _, op := range history {
		if op.Output.(routeAnswer).err == modelstore.ErrConflict {
			conflicts++
		}
	}
	if conflicts == 0 {
		t.Fatal("no call lost a race: the clients did not meet")
	}
}

func doRoute(ctx context.Context, s *modelstore.Store, op routeOp) (modelstore.Route, error) {
	switch op.kind {
	case "activate":
		return s.Activate(ctx, "churn", op.version, op.etag, "")
	case "rollback":
		return s.Rollback(ctx, "churn", op.etag, "")
	}
	return s.GetRoute(ctx, "churn")
}

func sentinelOf(err error) error {
	for _, sentinel := range []error{modelstore.ErrConflict, modelstore.ErrNoEarlierRoute} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	return err
}
