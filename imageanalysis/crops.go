package imageanalysis

import (
	"context"
	"runtime"

	"github.com/scry-ml/scry/pipeline"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
)

// finder is a head that finds parts of pictures, which other graphs look at. Its
// error concerns the whole call; a picture's is kept with it.
type finder interface {
	find(ctx context.Context, m Model, pictures []*picture) error
}

// picture is one picture on its way.
type picture struct {
	answer *pipeline.Answer // of the whole picture; takes what its parts cost
	crops  *pipeline.Crops
	result *imageanalysisv1.ImageResult
	err    *error
}

// part is a part of a picture that a graph looks at.
type part struct {
	picture *picture
	bytes   int64 // of what is cut
	cut     func() (pipeline.Item, error)
	read    func(pipeline.Outputs) error
}

// partsAtOnce go through a graph together, or as many as a wave has bytes for.
const partsAtOnce = 256

// look runs a graph on the parts of all pictures together. The first error of a
// part is its picture's, whose other parts are left out then.
func look(ctx context.Context, m Model, graph string, parts []part) error {
	for _, w := range pipeline.Cut(len(parts), partsAtOnce, func(k int) int64 { return parts[k].bytes }) {
		if err := lookAt(ctx, m, graph, parts[w.From:w.To]); err != nil {
			return err
		}
	}
	return ctx.Err() // nor is there an answer where time was too short to find parts
}

func lookAt(ctx context.Context, m Model, graph string, parts []part) error {
	cut, errs := make([]pipeline.Item, len(parts)), make([]error, len(parts))
	pipeline.Parallel(runtime.GOMAXPROCS(0), len(parts), func(k int) {
		if ctx.Err() == nil && *parts[k].picture.err == nil {
			cut[k], errs[k] = parts[k].cut()
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	items, places := cut[:0], make([]*part, 0, len(parts))
	for k := range parts {
		p := &parts[k]
		if *p.picture.err == nil {
			*p.picture.err = errs[k]
		}
		if *p.picture.err == nil {
			items, places = append(items, cut[k]), append(places, p)
		}
	}
	if len(items) == 0 {
		return nil
	}
	for k, a := range m.RunCrops(ctx, graph, items) {
		p := places[k]
		if pipeline.Overload(a.Err) {
			return a.Err
		}
		p.picture.answer.Stats.Merge(a.Stats)
		if *p.picture.err != nil {
			continue
		}
		if *p.picture.err = a.Err; a.Err == nil {
			*p.picture.err = p.read(a.Outputs)
		}
	}
	return nil
}
