package bundle

import "strings"

// preset is how torchvision's weights want pictures: the shorter side resized,
// the middle cut out.
type preset struct {
	resize, crop int32
	filter       int  // Pillow's code
	halves       bool // mean and std are 0.5 and not ImageNet's
}

// torchvisionPresets are those of torchvision 0.29.2 by the names of weights;
// bundle/testdata/hf/presets.py writes this file.
var torchvisionPresets = presets(map[preset]string{
	{256, 224, 2, false}: "AlexNet_Weights.IMAGENET1K_V1 DenseNet121_Weights.IMAGENET1K_V1 DenseNet161_Weights.IMAGENET1K_V1 " +
		"DenseNet169_Weights.IMAGENET1K_V1 DenseNet201_Weights.IMAGENET1K_V1 GoogLeNet_Weights.IMAGENET1K_V1 " +
		"MNASNet0_5_Weights.IMAGENET1K_V1 MNASNet1_0_Weights.IMAGENET1K_V1 MobileNet_V2_Weights.IMAGENET1K_V1 " +
		"MobileNet_V3_Large_Weights.IMAGENET1K_V1 MobileNet_V3_Small_Weights.IMAGENET1K_V1 RegNet_X_16GF_Weights.IMAGENET1K_V1 " +
		"RegNet_X_1_6GF_Weights.IMAGENET1K_V1 RegNet_X_32GF_Weights.IMAGENET1K_V1 RegNet_X_3_2GF_Weights.IMAGENET1K_V1 " +
		"RegNet_X_400MF_Weights.IMAGENET1K_V1 RegNet_X_800MF_Weights.IMAGENET1K_V1 RegNet_X_8GF_Weights.IMAGENET1K_V1 " +
		"RegNet_Y_16GF_Weights.IMAGENET1K_V1 RegNet_Y_1_6GF_Weights.IMAGENET1K_V1 RegNet_Y_32GF_Weights.IMAGENET1K_V1 " +
		"RegNet_Y_3_2GF_Weights.IMAGENET1K_V1 RegNet_Y_400MF_Weights.IMAGENET1K_V1 RegNet_Y_800MF_Weights.IMAGENET1K_V1 " +
		"RegNet_Y_8GF_Weights.IMAGENET1K_V1 ResNeXt101_32X8D_Weights.IMAGENET1K_V1 ResNeXt50_32X4D_Weights.IMAGENET1K_V1 " +
		"ResNet101_Weights.IMAGENET1K_V1 ResNet152_Weights.IMAGENET1K_V1 ResNet18_Weights.IMAGENET1K_V1 ResNet34_Weights.IMAGENET1K_V1 " +
		"ResNet50_Weights.IMAGENET1K_V1 ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1 ShuffleNet_V2_X1_0_Weights.IMAGENET1K_V1 " +
		"SqueezeNet1_0_Weights.IMAGENET1K_V1 SqueezeNet1_1_Weights.IMAGENET1K_V1 VGG11_BN_Weights.IMAGENET1K_V1 VGG11_Weights.IMAGENET1K_V1 " +
		"VGG13_BN_Weights.IMAGENET1K_V1 VGG13_Weights.IMAGENET1K_V1 VGG16_BN_Weights.IMAGENET1K_V1 VGG16_Weights.IMAGENET1K_V1 " +
		"VGG19_BN_Weights.IMAGENET1K_V1 VGG19_Weights.IMAGENET1K_V1 ViT_B_16_Weights.IMAGENET1K_V1 ViT_B_32_Weights.IMAGENET1K_V1 " +
		"ViT_L_32_Weights.IMAGENET1K_V1 Wide_ResNet101_2_Weights.IMAGENET1K_V1 Wide_ResNet50_2_Weights.IMAGENET1K_V1",
	{232, 224, 2, false}: "ConvNeXt_Base_Weights.IMAGENET1K_V1 ConvNeXt_Large_Weights.IMAGENET1K_V1 MNASNet0_75_Weights.IMAGENET1K_V1 " +
		"MNASNet1_3_Weights.IMAGENET1K_V1 MobileNet_V2_Weights.IMAGENET1K_V2 MobileNet_V3_Large_Weights.IMAGENET1K_V2 " +
		"RegNet_X_16GF_Weights.IMAGENET1K_V2 RegNet_X_1_6GF_Weights.IMAGENET1K_V2 RegNet_X_32GF_Weights.IMAGENET1K_V2 " +
		"RegNet_X_3_2GF_Weights.IMAGENET1K_V2 RegNet_X_400MF_Weights.IMAGENET1K_V2 RegNet_X_800MF_Weights.IMAGENET1K_V2 " +
		"RegNet_X_8GF_Weights.IMAGENET1K_V2 RegNet_Y_16GF_Weights.IMAGENET1K_V2 RegNet_Y_1_6GF_Weights.IMAGENET1K_V2 " +
		"RegNet_Y_32GF_Weights.IMAGENET1K_V2 RegNet_Y_3_2GF_Weights.IMAGENET1K_V2 RegNet_Y_400MF_Weights.IMAGENET1K_V2 " +
		"RegNet_Y_800MF_Weights.IMAGENET1K_V2 RegNet_Y_8GF_Weights.IMAGENET1K_V2 ResNeXt101_32X8D_Weights.IMAGENET1K_V2 " +
		"ResNeXt101_64X4D_Weights.IMAGENET1K_V1 ResNeXt50_32X4D_Weights.IMAGENET1K_V2 ResNet101_Weights.IMAGENET1K_V2 " +
		"ResNet152_Weights.IMAGENET1K_V2 ResNet50_Weights.IMAGENET1K_V2 ShuffleNet_V2_X1_5_Weights.IMAGENET1K_V1 " +
		"ShuffleNet_V2_X2_0_Weights.IMAGENET1K_V1 Wide_ResNet101_2_Weights.IMAGENET1K_V2 Wide_ResNet50_2_Weights.IMAGENET1K_V2",
	{230, 224, 2, false}: "ConvNeXt_Small_Weights.IMAGENET1K_V1",
	{236, 224, 2, false}: "ConvNeXt_Tiny_Weights.IMAGENET1K_V1",
	{256, 224, 3, false}: "EfficientNet_B0_Weights.IMAGENET1K_V1",
	{256, 240, 3, false}: "EfficientNet_B1_Weights.IMAGENET1K_V1",
	{255, 240, 2, false}: "EfficientNet_B1_Weights.IMAGENET1K_V2",
	{288, 288, 3, false}: "EfficientNet_B2_Weights.IMAGENET1K_V1",
	{320, 300, 3, false}: "EfficientNet_B3_Weights.IMAGENET1K_V1",
	{384, 380, 3, false}: "EfficientNet_B4_Weights.IMAGENET1K_V1",
	{456, 456, 3, false}: "EfficientNet_B5_Weights.IMAGENET1K_V1",
	{528, 528, 3, false}: "EfficientNet_B6_Weights.IMAGENET1K_V1",
	{600, 600, 3, false}: "EfficientNet_B7_Weights.IMAGENET1K_V1",
	{480, 480, 3, true}:  "EfficientNet_V2_L_Weights.IMAGENET1K_V1",
	{480, 480, 2, false}: "EfficientNet_V2_M_Weights.IMAGENET1K_V1",
	{384, 384, 2, false}: "EfficientNet_V2_S_Weights.IMAGENET1K_V1",
	{342, 299, 2, false}: "Inception_V3_Weights.IMAGENET1K_V1",
	{224, 224, 3, false}: "MaxVit_T_Weights.IMAGENET1K_V1 RegNet_Y_128GF_Weights.IMAGENET1K_SWAG_LINEAR_V1 RegNet_Y_16GF_Weights.IMAGENET1K_SWAG_LINEAR_V1 " +
		"RegNet_Y_32GF_Weights.IMAGENET1K_SWAG_LINEAR_V1 ViT_B_16_Weights.IMAGENET1K_SWAG_LINEAR_V1 " +
		"ViT_H_14_Weights.IMAGENET1K_SWAG_LINEAR_V1 ViT_L_16_Weights.IMAGENET1K_SWAG_LINEAR_V1",
	{384, 384, 3, false}: "RegNet_Y_128GF_Weights.IMAGENET1K_SWAG_E2E_V1 RegNet_Y_16GF_Weights.IMAGENET1K_SWAG_E2E_V1 " +
		"RegNet_Y_32GF_Weights.IMAGENET1K_SWAG_E2E_V1 ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1",
	{238, 224, 3, false}: "Swin_B_Weights.IMAGENET1K_V1",
	{246, 224, 3, false}: "Swin_S_Weights.IMAGENET1K_V1",
	{232, 224, 3, false}: "Swin_T_Weights.IMAGENET1K_V1",
	{272, 256, 3, false}: "Swin_V2_B_Weights.IMAGENET1K_V1",
	{260, 256, 3, false}: "Swin_V2_S_Weights.IMAGENET1K_V1 Swin_V2_T_Weights.IMAGENET1K_V1",
	{518, 518, 3, false}: "ViT_H_14_Weights.IMAGENET1K_SWAG_E2E_V1",
	{242, 224, 2, false}: "ViT_L_16_Weights.IMAGENET1K_V1",
	{512, 512, 3, false}: "ViT_L_16_Weights.IMAGENET1K_SWAG_E2E_V1",
})

// torchvisionDefaults are the weights that a model's name stands for.
var torchvisionDefaults = map[string]string{
	"alexnet":            "AlexNet_Weights.IMAGENET1K_V1",
	"convnext_base":      "ConvNeXt_Base_Weights.IMAGENET1K_V1",
	"convnext_large":     "ConvNeXt_Large_Weights.IMAGENET1K_V1",
	"convnext_small":     "ConvNeXt_Small_Weights.IMAGENET1K_V1",
	"convnext_tiny":      "ConvNeXt_Tiny_Weights.IMAGENET1K_V1",
	"densenet121":        "DenseNet121_Weights.IMAGENET1K_V1",
	"densenet161":        "DenseNet161_Weights.IMAGENET1K_V1",
	"densenet169":        "DenseNet169_Weights.IMAGENET1K_V1",
	"densenet201":        "DenseNet201_Weights.IMAGENET1K_V1",
	"efficientnet_b0":    "EfficientNet_B0_Weights.IMAGENET1K_V1",
	"efficientnet_b1":    "EfficientNet_B1_Weights.IMAGENET1K_V2",
	"efficientnet_b2":    "EfficientNet_B2_Weights.IMAGENET1K_V1",
	"efficientnet_b3":    "EfficientNet_B3_Weights.IMAGENET1K_V1",
	"efficientnet_b4":    "EfficientNet_B4_Weights.IMAGENET1K_V1",
	"efficientnet_b5":    "EfficientNet_B5_Weights.IMAGENET1K_V1",
	"efficientnet_b6":    "EfficientNet_B6_Weights.IMAGENET1K_V1",
	"efficientnet_b7":    "EfficientNet_B7_Weights.IMAGENET1K_V1",
	"efficientnet_v2_l":  "EfficientNet_V2_L_Weights.IMAGENET1K_V1",
	"efficientnet_v2_m":  "EfficientNet_V2_M_Weights.IMAGENET1K_V1",
	"efficientnet_v2_s":  "EfficientNet_V2_S_Weights.IMAGENET1K_V1",
	"googlenet":          "GoogLeNet_Weights.IMAGENET1K_V1",
	"inception_v3":       "Inception_V3_Weights.IMAGENET1K_V1",
	"maxvit_t":           "MaxVit_T_Weights.IMAGENET1K_V1",
	"mnasnet0_5":         "MNASNet0_5_Weights.IMAGENET1K_V1",
	"mnasnet0_75":        "MNASNet0_75_Weights.IMAGENET1K_V1",
	"mnasnet1_0":         "MNASNet1_0_Weights.IMAGENET1K_V1",
	"mnasnet1_3":         "MNASNet1_3_Weights.IMAGENET1K_V1",
	"mobilenet_v2":       "MobileNet_V2_Weights.IMAGENET1K_V2",
	"mobilenet_v3_large": "MobileNet_V3_Large_Weights.IMAGENET1K_V2",
	"mobilenet_v3_small": "MobileNet_V3_Small_Weights.IMAGENET1K_V1",
	"regnet_x_16gf":      "RegNet_X_16GF_Weights.IMAGENET1K_V2",
	"regnet_x_1_6gf":     "RegNet_X_1_6GF_Weights.IMAGENET1K_V2",
	"regnet_x_32gf":      "RegNet_X_32GF_Weights.IMAGENET1K_V2",
	"regnet_x_3_2gf":     "RegNet_X_3_2GF_Weights.IMAGENET1K_V2",
	"regnet_x_400mf":     "RegNet_X_400MF_Weights.IMAGENET1K_V2",
	"regnet_x_800mf":     "RegNet_X_800MF_Weights.IMAGENET1K_V2",
	"regnet_x_8gf":       "RegNet_X_8GF_Weights.IMAGENET1K_V2",
	"regnet_y_128gf":     "RegNet_Y_128GF_Weights.IMAGENET1K_SWAG_E2E_V1",
	"regnet_y_16gf":      "RegNet_Y_16GF_Weights.IMAGENET1K_V2",
	"regnet_y_1_6gf":     "RegNet_Y_1_6GF_Weights.IMAGENET1K_V2",
	"regnet_y_32gf":      "RegNet_Y_32GF_Weights.IMAGENET1K_V2",
	"regnet_y_3_2gf":     "RegNet_Y_3_2GF_Weights.IMAGENET1K_V2",
	"regnet_y_400mf":     "RegNet_Y_400MF_Weights.IMAGENET1K_V2",
	"regnet_y_800mf":     "RegNet_Y_800MF_Weights.IMAGENET1K_V2",
	"regnet_y_8gf":       "RegNet_Y_8GF_Weights.IMAGENET1K_V2",
	"resnet101":          "ResNet101_Weights.IMAGENET1K_V2",
	"resnet152":          "ResNet152_Weights.IMAGENET1K_V2",
	"resnet18":           "ResNet18_Weights.IMAGENET1K_V1",
	"resnet34":           "ResNet34_Weights.IMAGENET1K_V1",
	"resnet50":           "ResNet50_Weights.IMAGENET1K_V2",
	"resnext101_32x8d":   "ResNeXt101_32X8D_Weights.IMAGENET1K_V2",
	"resnext101_64x4d":   "ResNeXt101_64X4D_Weights.IMAGENET1K_V1",
	"resnext50_32x4d":    "ResNeXt50_32X4D_Weights.IMAGENET1K_V2",
	"shufflenet_v2_x0_5": "ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1",
	"shufflenet_v2_x1_0": "ShuffleNet_V2_X1_0_Weights.IMAGENET1K_V1",
	"shufflenet_v2_x1_5": "ShuffleNet_V2_X1_5_Weights.IMAGENET1K_V1",
	"shufflenet_v2_x2_0": "ShuffleNet_V2_X2_0_Weights.IMAGENET1K_V1",
	"squeezenet1_0":      "SqueezeNet1_0_Weights.IMAGENET1K_V1",
	"squeezenet1_1":      "SqueezeNet1_1_Weights.IMAGENET1K_V1",
	"swin_b":             "Swin_B_Weights.IMAGENET1K_V1",
	"swin_s":             "Swin_S_Weights.IMAGENET1K_V1",
	"swin_t":             "Swin_T_Weights.IMAGENET1K_V1",
	"swin_v2_b":          "Swin_V2_B_Weights.IMAGENET1K_V1",
	"swin_v2_s":          "Swin_V2_S_Weights.IMAGENET1K_V1",
	"swin_v2_t":          "Swin_V2_T_Weights.IMAGENET1K_V1",
	"vgg11":              "VGG11_Weights.IMAGENET1K_V1",
	"vgg11_bn":           "VGG11_BN_Weights.IMAGENET1K_V1",
	"vgg13":              "VGG13_Weights.IMAGENET1K_V1",
	"vgg13_bn":           "VGG13_BN_Weights.IMAGENET1K_V1",
	"vgg16":              "VGG16_Weights.IMAGENET1K_V1",
	"vgg16_bn":           "VGG16_BN_Weights.IMAGENET1K_V1",
	"vgg19":              "VGG19_Weights.IMAGENET1K_V1",
	"vgg19_bn":           "VGG19_BN_Weights.IMAGENET1K_V1",
	"vit_b_16":           "ViT_B_16_Weights.IMAGENET1K_V1",
	"vit_b_32":           "ViT_B_32_Weights.IMAGENET1K_V1",
	"vit_h_14":           "ViT_H_14_Weights.IMAGENET1K_SWAG_E2E_V1",
	"vit_l_16":           "ViT_L_16_Weights.IMAGENET1K_V1",
	"vit_l_32":           "ViT_L_32_Weights.IMAGENET1K_V1",
	"wide_resnet101_2":   "Wide_ResNet101_2_Weights.IMAGENET1K_V2",
	"wide_resnet50_2":    "Wide_ResNet50_2_Weights.IMAGENET1K_V2",
}

func presets(names map[preset]string) map[string]preset {
	byName := map[string]preset{}
	for p, list := range names {
		for name := range strings.FieldsSeq(list) {
			byName[name] = p
		}
	}
	return byName
}
