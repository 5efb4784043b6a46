package modelstore

import (
	"encoding/base64"
	"strings"
)

// Page asks for a part of a list.
type Page struct {
	Size  int    // entries; 0 = DefaultPageSize, more than MaxPageSize is cut
	Token string // that came with the page before; empty = the first page
}

// The sizes of pages.
const (
	DefaultPageSize = 50
	MaxPageSize     = 1000
)

// limit is the number of rows to read: one more than the page, to know whether
// another follows.
func (p Page) limit() int {
	switch {
	case p.Size <= 0:
		return DefaultPageSize + 1
	case p.Size > MaxPageSize:
		return MaxPageSize + 1
	}
	return p.Size + 1
}

// after returns the key that the list goes on behind, empty for the first page.
// A token of another list is refused.
func (p Page) after(list string) (key string, err error) {
	if p.Token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.Token)
	name, key, ok := strings.Cut(string(raw), "\x00")
	if err != nil || !ok || name != list || key == "" {
		return "", invalid("page_token", "is not one that this list gave")
	}
	return key, nil
}

// cut takes the extra row off and makes the token of the next page of it.
func cut[T any](p Page, list string, all []T, key func(T) string) (page []T, next string) {
	n := p.limit() - 1
	if len(all) <= n {
		return all, ""
	}
	return all[:n], base64.RawURLEncoding.EncodeToString([]byte(list + "\x00" + key(all[n-1])))
}
