package bundle

import (
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// MaxBackground is the number of rows that row.background may hold: every
// explanation asks the model for all of them.
const MaxBackground = 1000

const maxBackgroundLine = 16 << 20

// Background reads the rows that explanations compare with; none when the
// manifest names no file. Errors wrap ErrInvalid and name the line.
func (b *Bundle) Background() ([]*structpb.Struct, error) {
	name := b.Manifest.GetRow().GetBackground()
	if name == "" {
		return nil, nil
	}
	var rows []*structpb.Struct
	err := b.jsonLines("row.background", name, maxBackgroundLine, func(at string, line []byte) error {
		if len(rows) == MaxBackground {
			return invalid(name, "holds more than %d rows", MaxBackground)
		}
		row := &structpb.Struct{}
		if err := protojson.Unmarshal(line, row); err != nil {
			return invalid(at, "%v", err)
		}
		rows = append(rows, row)
		return nil
	})
	if err == nil && len(rows) == 0 {
		err = invalid(name, "holds no row")
	}
	return rows, err
}
