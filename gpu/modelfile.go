package gpu

import (
	"fmt"
	"os"
)

// EstimateBytes returns about how much memory loading the model at path takes.
func EstimateBytes(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%w: there is no such file", ErrModel)
	}
	if info.Size() == 0 {
		return 0, fmt.Errorf("%w: the file is empty", ErrModel)
	}
	return info.Size(), nil
}
