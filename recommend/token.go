package recommend

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/scry-ml/scry/pipeline"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// token is where the next page begins. It belongs to one request of one version.
type token struct {
	digest  [16]byte // of the request without its token, where it may have pages
	version int64
	offset  uint32
	seed    uint64
	time    int64 // microseconds: what has expired is the same for all pages
}

const tokenBytes = 16 + 8 + 4 + 8 + 8

func (t *token) String() string {
	b := make([]byte, 0, tokenBytes)
	b = append(b, t.digest[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.version))
	b = binary.BigEndian.AppendUint32(b, t.offset)
	b = binary.BigEndian.AppendUint64(b, t.seed)
	b = binary.BigEndian.AppendUint64(b, uint64(t.time))
	return base64.RawURLEncoding.EncodeToString(b)
}

// hasPages tells whether a request's list may be read page by page.
func hasPages(req *scoringv1.RecommendItemsRequest) bool { return len(req.GetSubjects()) == 1 }

// digestOf is the same for all pages of a request. The model's own name counts,
// not how it was called.
func digestOf(req *scoringv1.RecommendItemsRequest, id pipeline.Identity) ([16]byte, error) {
	page := &scoringv1.RecommendItemsRequest{
		Model: id.Model, Subjects: req.GetSubjects(), Options: req.GetOptions(), PageSize: req.GetPageSize(),
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(page)
	if err != nil {
		return [16]byte{}, err
	}
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16]), nil
}

// readToken reads the token of a request; a request without one begins its list.
func readToken(req *scoringv1.RecommendItemsRequest, id pipeline.Identity, seed uint64, now time.Time) (token, error) {
	var digest [16]byte
	if hasPages(req) {
		var err error
		if digest, err = digestOf(req, id); err != nil {
			return token{}, err
		}
	}
	now, err := pipeline.TimeOr(req.GetOptions().GetTime(), "options.time", now)
	if err != nil {
		return token{}, err
	}
	t := token{digest: digest, version: id.Version, seed: seed, time: now.UnixMicro()}
	if x := req.GetOptions().GetExploration(); x != nil && x.Seed != nil {
		t.seed = x.GetSeed()
	}
	switch {
	case req.GetPageToken() == "":
		return t, nil
	case !hasPages(req):
		return t, invalid("page_token", "PAGE_TOKEN_INVALID", "only a request for one subject has pages")
	}
	b, err := base64.RawURLEncoding.DecodeString(req.GetPageToken())
	switch {
	case err != nil || len(b) != tokenBytes:
		return t, invalid("page_token", "PAGE_TOKEN_INVALID", "is not a token that an answer gave")
	case [16]byte(b[:16]) != digest:
		return t, invalid("page_token", "PAGE_TOKEN_INVALID", "belongs to another request: only the token may differ between pages")
	}
	if v := int64(binary.BigEndian.Uint64(b[16:])); v != id.Version {
		return t, invalid("page_token", "PAGE_TOKEN_INVALID", "belongs to version %d, version %d answers now: begin again, or name the version", v, id.Version)
	}
	t.offset = binary.BigEndian.Uint32(b[24:])
	t.seed = binary.BigEndian.Uint64(b[28:])
	t.time = int64(binary.BigEndian.Uint64(b[36:]))
	if t.offset == 0 || t.offset >= maxPlaces {
		return t, invalid("page_token", "PAGE_TOKEN_INVALID", "is not a token that an answer gave")
	}
	return t, nil
}
