package pixel_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/scry-ml/scry/pixel"
)

// What torchvision's classification models are fed.
func ExamplePreprocess_Tensor() {
	imageNet := pixel.Preprocess{
		Resize: pixel.ShortestEdge, Width: 256, Filter: pixel.Bilinear,
		CropWidth: 224, CropHeight: 224,
		Scale: 1. / 255,
		Mean:  [3]float32{0.485, 0.456, 0.406},
		Std:   [3]float32{0.229, 0.224, 0.225},
	}
	data, err := os.ReadFile("testdata/pictures/exif-6.jpg")
	if err != nil {
		log.Fatal(err)
	}
	t, info, err := imageNet.Tensor(context.Background(), data, pixel.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Format, info.Width, "×", info.Height)
	fmt.Println(t.DType, t.Shape)
	// Output:
	// JPEG 67 × 101
	// float32 [1,3,224,224]
}
