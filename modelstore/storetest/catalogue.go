package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scry-ml/scry/modelstore"
)

func models(t *testing.T, h *harness) {
	h.small("churn", 1)
	h.small("churn", 2)
	m, err := h.store.GetModel(t.Context(), "churn")
	must(t, err)
	equal(t, "latest version", m.LatestVersion, 2)
	equal(t, "route", m.Route.Revision, 0)
	equal(t, "route's etag", m.Route.Etag, modelstore.EtagAbsent)

	h.advance(time.Hour)
	text, labels := "who will leave", map[string]string{"team": "crm", "tier": ""}
	changed, err := h.store.UpdateModel(t.Context(), "churn", modelstore.ModelUpdate{Description: &text, Labels: &labels, Etag: m.Etag})
	must(t, err)
	equal(t, "description", changed.Description, text)
	equal(t, "label", changed.Labels["team"], "crm")
	equal(t, "updated at", changed.UpdatedAt, h.time())
	equal(t, "created at", changed.CreatedAt, m.CreatedAt)
	_, err = h.store.UpdateModel(t.Context(), "churn", modelstore.ModelUpdate{Description: &text, Etag: m.Etag})
	wantError(t, err, modelstore.ErrConflict)
	empty := ""
	again, err := h.store.UpdateModel(t.Context(), "churn", modelstore.ModelUpdate{Description: &empty})
	must(t, err)
	equal(t, "description", again.Description, "")
	equal(t, "labels", len(again.Labels), 2)
	_, err = h.store.UpdateModel(t.Context(), "uplift", modelstore.ModelUpdate{})
	wantError(t, err, modelstore.ErrNotFound)
	long := strings.Repeat("x", 20_000)
	_, err = h.store.UpdateModel(t.Context(), "churn", modelstore.ModelUpdate{Description: &long})
	wantError(t, err, modelstore.ErrInvalid)
	bad := map[string]string{"Team ": "x"}
	_, err = h.store.UpdateModel(t.Context(), "churn", modelstore.ModelUpdate{Labels: &bad})
	wantError(t, err, modelstore.ErrInvalid)
}

func aliases(t *testing.T, h *harness) {
	h.small("churn", 1)
	h.small("churn", 2)
	for _, name := range []string{"latest", "", "1", "2b", "A", "a.b", "-a", "a-"} {
		_, err := h.store.SetAlias(t.Context(), "churn", name, 1, "")
		wantError(t, err, modelstore.ErrInvalid)
	}
	_, err := h.store.SetAlias(t.Context(), "churn", "candidate", 9, "")
	wantError(t, err, modelstore.ErrNotFound)
	_, err = h.store.SetAlias(t.Context(), "churn", "candidate", 1, "a77")
	wantError(t, err, modelstore.ErrConflict)
	first, err := h.store.SetAlias(t.Context(), "churn", "candidate", 1, modelstore.EtagAbsent)
	must(t, err)
	_, err = h.store.SetAlias(t.Context(), "churn", "candidate", 2, modelstore.EtagAbsent)
	wantError(t, err, modelstore.ErrConflict)
	second, err := h.store.SetAlias(t.Context(), "churn", "candidate", 2, first.Etag)
	must(t, err)
	_, err = h.store.SetAlias(t.Context(), "churn", "candidate", 1, first.Etag)
	wantError(t, err, modelstore.ErrConflict)
	_, err = h.store.SetAlias(t.Context(), "churn", "canary", 2, "")
	must(t, err)

	h.reopen()
	list, _, err := h.store.ListAliases(t.Context(), "churn", modelstore.Page{})
	must(t, err)
	equal(t, "aliases", len(list), 2)
	equal(t, "first", list[0].Name, "canary")
	equal(t, "second", list[1], second)
	v, err := h.store.GetVersion(t.Context(), "churn", 2)
	must(t, err)
	equal(t, "aliases of the version", strings.Join(v.Aliases, " "), "canary candidate")
	wantError(t, h.store.DeleteVersion(t.Context(), "churn", 2), modelstore.ErrAliased)
	wantError(t, h.store.DeleteVersion(t.Context(), "churn", 2), modelstore.ErrInUse)

	wantError(t, h.store.DeleteAlias(t.Context(), "churn", "candidate", first.Etag), modelstore.ErrConflict)
	must(t, h.store.DeleteAlias(t.Context(), "churn", "candidate", second.Etag))
	wantError(t, h.store.DeleteAlias(t.Context(), "churn", "candidate", ""), modelstore.ErrNotFound)
	again, err := h.store.SetAlias(t.Context(), "churn", "candidate", 2, modelstore.EtagAbsent)
	must(t, err)
	if again.Etag == first.Etag || again.Etag == second.Etag {
		t.Fatal("an alias that came back has an etag of its former life")
	}
}

func references(t *testing.T, h *harness) {
	_, err := h.store.Resolve(t.Context(), "churn", "1")
	wantError(t, err, modelstore.ErrNotFound)
	for seed := range uint64(3) {
		h.small("churn", seed)
	}
	_, err = h.store.Resolve(t.Context(), "churn", "")
	wantError(t, err, modelstore.ErrNoRoute)
	_, err = h.store.Activate(t.Context(), "churn", 1, "", "")
	must(t, err)
	_, err = h.store.SetAlias(t.Context(), "churn", "candidate", 2, "")
	must(t, err)
	for reference, want := range map[string]int64{"": 1, "1": 1, "3": 3, "candidate": 2, "latest": 3} {
		got, err := h.store.Resolve(t.Context(), "churn", reference)
		must(t, err)
		equal(t, fmt.Sprintf("version %q", reference), got, want)
	}
	for _, reference := range []string{"4", "0", "-1", "other", "99999999999999999999", "1.0"} {
		_, err := h.store.Resolve(t.Context(), "churn", reference)
		wantError(t, err, modelstore.ErrNotFound)
	}
	must(t, h.store.DeleteVersion(t.Context(), "churn", 3))
	got, err := h.store.Resolve(t.Context(), "churn", "latest")
	must(t, err)
	equal(t, "latest after a deletion", got, 2)
}

func routes(t *testing.T, h *harness) {
	h.small("churn", 1)
	h.small("churn", 2)
	_, err := h.store.GetRoute(t.Context(), "uplift")
	wantError(t, err, modelstore.ErrNotFound)
	none, err := h.store.GetRoute(t.Context(), "churn")
	must(t, err)
	equal(t, "revision", none.Revision, 0)
	_, err = h.store.Activate(t.Context(), "churn", 3, "", "")
	wantError(t, err, modelstore.ErrNotFound)
	first, err := h.store.Activate(t.Context(), "churn", 1, none.Etag, "ann")
	must(t, err)
	equal(t, "revision", first.Revision, 1)
	equal(t, "creator", first.CreatedBy, "ann")
	equal(t, "version", first.Entries[0].Version, 1)
	_, err = h.store.Activate(t.Context(), "churn", 2, none.Etag, "")
	wantError(t, err, modelstore.ErrConflict)
	same, err := h.store.Activate(t.Context(), "churn", 1, first.Etag, "bob")
	must(t, err)
	equal(t, "revision of the same again", same.Revision, 1)
	second, err := h.store.Activate(t.Context(), "churn", 2, first.Etag, "bob")
	must(t, err)

	h.reopen()
	now, err := h.store.GetRoute(t.Context(), "churn")
	must(t, err)
	equal(t, "revision after reopening", now.Revision, second.Revision)
	equal(t, "etag after reopening", now.Etag, second.Etag)
	wantError(t, h.store.DeleteVersion(t.Context(), "churn", 2), modelstore.ErrRouted)
	wantError(t, h.store.DeleteModel(t.Context(), "churn", false), modelstore.ErrRouted)
	v, err := h.store.GetVersion(t.Context(), "churn", 2)
	must(t, err)
	equal(t, "routed", v.Routed, true)
	v, err = h.store.GetVersion(t.Context(), "churn", 1)
	must(t, err)
	equal(t, "routed", v.Routed, false)
	must(t, h.store.DeleteVersion(t.Context(), "churn", 1))
	list, _, err := h.store.ListRoutes(t.Context(), "churn", modelstore.Page{})
	must(t, err)
	equal(t, "revisions", len(list), 2)
	equal(t, "newest first", list[0].Revision, 2)

	// Of many who saw the same route, one moves it.
	for seed := range uint64(8) {
		h.small("churn", 10+seed)
	}
	wins := make(chan error)
	for i := range int64(8) {
		go func() {
			_, err := h.store.Activate(context.Background(), "churn", 3+i, now.Etag, "")
			wins <- err
		}()
	}
	won := 0
	for range 8 {
		if err := <-wins; err == nil {
			won++
		} else {
			wantError(t, err, modelstore.ErrConflict)
		}
	}
	equal(t, "winners", won, 1)
}

func rollback(t *testing.T, h *harness) {
	for seed := range uint64(4) {
		h.small("churn", seed)
	}
	_, err := h.store.Rollback(t.Context(), "churn", "", "")
	wantError(t, err, modelstore.ErrNoEarlierRoute)
	activate := func(v int64) modelstore.Route {
		t.Helper()
		r, err := h.store.Activate(t.Context(), "churn", v, "", "ann")
		must(t, err)
		return r
	}
	back := func(version, revision, to int64) {
		t.Helper()
		present, target, err := h.store.RollbackTarget(t.Context(), "churn")
		must(t, err)
		r, err := h.store.Rollback(t.Context(), "churn", present.Etag, "bob")
		must(t, err)
		equal(t, "version", r.Entries[0].Version, version)
		equal(t, "foretold version", target.Entries[0].Version, version)
		equal(t, "revision", r.Revision, revision)
		equal(t, "rolled back to", r.RolledBackTo, to)
		equal(t, "creator", r.CreatedBy, "bob")
	}
	activate(1)
	activate(2)
	stale := activate(3)
	back(2, 4, 2)
	_, err = h.store.Rollback(t.Context(), "churn", stale.Etag, "")
	wantError(t, err, modelstore.ErrConflict)
	back(1, 5, 1) // further back, not forth to 3
	_, err = h.store.Rollback(t.Context(), "churn", "", "")
	wantError(t, err, modelstore.ErrNoEarlierRoute)
	activate(4) // revision 6; before it version 1 answered
	back(1, 7, 1)
	_, err = h.store.Rollback(t.Context(), "churn", "", "")
	wantError(t, err, modelstore.ErrNoEarlierRoute)
}

func rollbackPastDeleted(t *testing.T, h *harness) {
	for seed := range uint64(3) {
		h.small("churn", seed)
	}
	for _, v := range []int64{1, 2, 1, 2, 3} {
		_, err := h.store.Activate(t.Context(), "churn", v, "", "")
		must(t, err)
	}
	must(t, h.store.DeleteVersion(t.Context(), "churn", 2))
	r, err := h.store.Rollback(t.Context(), "churn", "", "")
	must(t, err)
	equal(t, "version", r.Entries[0].Version, 1)
	equal(t, "rolled back to", r.RolledBackTo, 3)
	// Before revision 3 there is the deleted version, and before that version
	// 1, which answers now.
	_, err = h.store.Rollback(t.Context(), "churn", "", "")
	wantError(t, err, modelstore.ErrNoEarlierRoute)
}

func deleting(t *testing.T, h *harness) {
	h.small("churn", 1)
	h.small("churn", 2)
	wantError(t, h.store.DeleteVersion(t.Context(), "churn", 3), modelstore.ErrNotFound)
	wantError(t, h.store.DeleteVersion(t.Context(), "uplift", 1), modelstore.ErrNotFound)
	must(t, h.store.DeleteVersion(t.Context(), "churn", 1))
	_, err := h.store.GetVersion(t.Context(), "churn", 1)
	wantError(t, err, modelstore.ErrNotFound)
	_, err = h.store.Activate(t.Context(), "churn", 2, "", "")
	must(t, err)
	_, err = h.store.SetAlias(t.Context(), "churn", "best", 2, "")
	must(t, err)
	wantError(t, h.store.DeleteModel(t.Context(), "churn", false), modelstore.ErrInUse)
	must(t, h.store.DeleteModel(t.Context(), "churn", true))
	_, err = h.store.GetModel(t.Context(), "churn")
	wantError(t, err, modelstore.ErrNotFound)
	_, err = h.store.GetVersion(t.Context(), "churn", 2)
	wantError(t, err, modelstore.ErrNotFound)
	wantError(t, h.store.DeleteModel(t.Context(), "churn", true), modelstore.ErrNotFound)

	// What was committed by an upload whose version is gone is not made again.
	u := h.create("uplift", Files{"a": Random(5, 10)})
	must(t, Send(t.Context(), h.store, u, Files{"a": Random(5, 10)}, 10))
	_, _, err = h.store.CommitUpload(t.Context(), u.ID)
	must(t, err)
	must(t, h.store.DeleteVersion(t.Context(), "uplift", 1))
	_, _, err = h.store.CommitUpload(t.Context(), u.ID)
	wantError(t, err, modelstore.ErrNotFound)
}

func pages(t *testing.T, h *harness) {
	names := []string{"a", "b", "c", "d", "e"}
	for i, name := range names {
		h.small(name, uint64(i))
	}
	for seed := range uint64(4) {
		h.small("a", 10+seed)
	}
	for i, name := range names {
		_, err := h.store.SetAlias(t.Context(), "a", name, int64(i)+1, "")
		must(t, err)
		_, err = h.store.Activate(t.Context(), "a", int64(i)+1, "", "")
		must(t, err)
	}
	// walk reads a list by pages of two and returns its keys.
	walk := func(list func(modelstore.Page) (keys []string, next string, err error)) string {
		t.Helper()
		var all []string
		page := modelstore.Page{Size: 2}
		for {
			keys, next, err := list(page)
			must(t, err)
			if len(keys) > 2 {
				t.Fatalf("a page of 2 has %d entries", len(keys))
			}
			all = append(all, keys...)
			if next == "" {
				return strings.Join(all, " ")
			}
			page.Token = next
		}
	}
	var token string // of the models' list
	equal(t, "models", walk(func(p modelstore.Page) (keys []string, next string, err error) {
		list, next, err := h.store.ListModels(t.Context(), p)
		for _, m := range list {
			keys = append(keys, m.Name)
		}
		token = max(token, next)
		return keys, next, err
	}), "a b c d e")
	equal(t, "versions", walk(func(p modelstore.Page) (keys []string, next string, err error) {
		list, next, err := h.store.ListVersions(t.Context(), "a", p)
		for _, v := range list {
			keys = append(keys, fmt.Sprint(v.Number))
		}
		return keys, next, err
	}), "5 4 3 2 1")
	equal(t, "aliases", walk(func(p modelstore.Page) (keys []string, next string, err error) {
		list, next, err := h.store.ListAliases(t.Context(), "a", p)
		for _, a := range list {
			keys = append(keys, a.Name)
		}
		return keys, next, err
	}), "a b c d e")
	equal(t, "routes", walk(func(p modelstore.Page) (keys []string, next string, err error) {
		list, next, err := h.store.ListRoutes(t.Context(), "a", p)
		for _, r := range list {
			keys = append(keys, fmt.Sprint(r.Revision))
		}
		return keys, next, err
	}), "5 4 3 2 1")

	for _, bad := range []string{token, "x", "!!!", "AAAA"} {
		_, _, err := h.store.ListVersions(t.Context(), "a", modelstore.Page{Token: bad})
		wantError(t, err, modelstore.ErrInvalid)
	}
	all, next, err := h.store.ListModels(t.Context(), modelstore.Page{Size: 1 << 30})
	must(t, err)
	equal(t, "models on a huge page", len(all), 5)
	equal(t, "token of a huge page", next, "")
}

func watch(t *testing.T, h *harness) {
	w := h.store.Watch()
	defer w.Close()
	h.small("churn", 1)
	h.small("churn", 2)
	h.small("uplift", 1)
	var got []string
	for range 2 {
		model, err := w.Next(t.Context())
		must(t, err)
		got = append(got, model)
	}
	slices.Sort(got)
	equal(t, "changed models", strings.Join(got, " "), "churn uplift")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := w.Next(ctx)
	wantError(t, err, context.DeadlineExceeded)

	for name, change := range map[string]func() error{
		"activate":      func() error { _, err := h.store.Activate(t.Context(), "churn", 1, "", ""); return err },
		"activate 2":    func() error { _, err := h.store.Activate(t.Context(), "churn", 2, "", ""); return err },
		"set alias":     func() error { _, err := h.store.SetAlias(t.Context(), "churn", "x", 1, ""); return err },
		"delete uplift": func() error { return h.store.DeleteModel(t.Context(), "uplift", false) },
	} {
		must(t, change())
		if _, err := w.Next(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	_, err = h.store.Rollback(t.Context(), "churn", "nonsense", "")
	if err == nil {
		t.Fatal("a rollback with a wrong etag went through")
	}
	waiting := make(chan error)
	go func() { _, err := w.Next(context.Background()); waiting <- err }()
	w.Close()
	wantError(t, <-waiting, modelstore.ErrClosed)
}

func closed(t *testing.T, h *harness) {
	v := h.small("churn", 1)
	w := h.store.Watch()
	s := h.store
	must(t, s.Close())
	must(t, s.Close())
	_, err := s.GetVersion(t.Context(), "churn", v.Number)
	wantError(t, err, modelstore.ErrClosed)
	_, err = s.Activate(t.Context(), "churn", v.Number, "", "")
	wantError(t, err, modelstore.ErrClosed)
	_, err = w.Next(t.Context())
	wantError(t, err, modelstore.ErrClosed)
	_, err = s.Watch().Next(t.Context())
	if !errors.Is(err, modelstore.ErrClosed) {
		t.Fatalf("a watcher of a closed store: %v", err)
	}
}
