package bundle

import (
	"bufio"
	"bytes"
	"fmt"

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
	f, err := b.FS.Open(name)
	if err != nil {
		return nil, invalid("row.background", "%v", cause(err))
	}
	defer f.Close()
	var rows []*structpb.Struct
	in := bufio.NewScanner(f)
	in.Buffer(nil, maxBackgroundLine)
	for line := 1; in.Scan(); line++ {
		if len(bytes.TrimSpace(in.Bytes())) == 0 {
			continue
		}
		if len(rows) == MaxBackground {
			return nil, invalid(name, "holds more than %d rows", MaxBackground)
		}
		row := &structpb.Struct{}
		if err := protojson.Unmarshal(in.Bytes(), row); err != nil {
			return nil, invalid(fmt.Sprintf("%s:%d", name, line), "%v", err)
		}
		rows = append(rows, row)
	}
	if err := in.Err(); err != nil {
		return nil, invalid(name, "%v", cause(err))
	}
	if len(rows) == 0 {
		return nil, invalid(name, "holds no row")
	}
	return rows, nil
}
