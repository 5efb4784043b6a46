package pixel

// Upsampling of chroma and conversion of colours, row by row, bit for bit as
// libjpeg ("fancy upsampling") and libwebp do them.

// upsampledRow returns the samples of picture row y at full resolution, in
// scratch unless the channel is at full resolution already. The rules are
// libjpeg's: triangle filters for the ratios 2×1, 1×2 and 2×2, repetition for
// all others and for channels too narrow for a filter.
func (p *plane) upsampledRow(y int, scratch []byte) []byte {
	near := p.row(y / p.yRatio)
	switch {
	case p.xRatio == 1 && p.yRatio == 1:
		return near
	case p.xRatio == 2 && p.yRatio == 1 && p.w > 2:
		upsample2x1(scratch, near)
	case p.xRatio == 1 && p.yRatio == 2:
		upsample1x2(scratch, near, p.far(y), y&1)
	case p.xRatio == 2 && p.yRatio == 2 && p.w > 2:
		upsample2x2(scratch, near, p.far(y))
	default:
		for i, v := range near {
			for x := i * p.xRatio; x < (i+1)*p.xRatio; x++ {
				scratch[x] = v
			}
		}
	}
	return scratch
}

// far returns the row of samples that is second nearest to picture row y, for
// a channel of half the height; at the border it is the nearest row itself.
func (p *plane) far(y int) []byte {
	if y&1 == 0 {
		return p.row(max(y/2-1, 0))
	}
	return p.row(min(y/2+1, p.h-1))
}

// upsample2x1 doubles the width: each output lies a quarter of a sample from
// its nearest input and takes ¾ of it and ¼ of the next one. Rounding
// alternates, so that it does not drift.
func upsample2x1(dst, src []byte) {
	n := len(src)
	dst = dst[:2*n]
	dst[0] = src[0]
	dst[1] = byte((3*uint32(src[0]) + uint32(src[1]) + 2) >> 2)
	for i := 1; i < n-1; i++ {
		v := 3 * uint32(src[i])
		dst[2*i] = byte((v + uint32(src[i-1]) + 1) >> 2)
		dst[2*i+1] = byte((v + uint32(src[i+1]) + 2) >> 2)
	}
	dst[2*n-2] = byte((3*uint32(src[n-1]) + uint32(src[n-2]) + 1) >> 2)
	dst[2*n-1] = src[n-1]
}

// upsample1x2 makes one of the two rows of a doubled height; lower is 1 for
// the second of them, which is rounded the other way.
func upsample1x2(dst, near, far []byte, lower int) {
	bias := uint32(1 + lower)
	far, dst = far[:len(near)], dst[:len(near)]
	for i, v := range near {
		dst[i] = byte((3*uint32(v) + uint32(far[i]) + bias) >> 2)
	}
}

// upsample2x2 makes one row of a picture of twice the width and height.
func upsample2x2(dst, near, far []byte) {
	n := len(near)
	far, dst = far[:n], dst[:2*n]
	last := uint32(0)
	this := 3*uint32(near[0]) + uint32(far[0])
	next := 3*uint32(near[1]) + uint32(far[1])
	dst[0] = byte((4*this + 8) >> 4)
	dst[1] = byte((3*this + next + 7) >> 4)
	for i := 2; i < n; i++ {
		last, this, next = this, next, 3*uint32(near[i])+uint32(far[i])
		d := dst[2*i-2 : 2*i : 2*i]
		d[0] = byte((3*this + last + 8) >> 4)
		d[1] = byte((3*this + next + 7) >> 4)
	}
	dst[2*n-2] = byte((3*next + this + 8) >> 4)
	dst[2*n-1] = byte((4*next + 7) >> 4)
}

// upsampleVP8 makes one row of w pixels of a picture of twice the width and
// height, with libwebp's rounding.
func upsampleVP8(dst, near, far []byte, w int) {
	n0, f0 := uint32(near[0]), uint32(far[0])
	dst = dst[:w]
	dst[0] = byte((3*n0 + f0 + 2) >> 2)
	pairs := (w - 1) / 2
	near, far = near[:(w+1)/2], far[:(w+1)/2]
	for i := 1; i <= pairs; i++ {
		n1, f1 := uint32(near[i]), uint32(far[i])
		sum := n0 + n1 + f0 + f1 + 8
		dst[2*i-1] = byte(((sum+2*(n1+f0))>>3 + n0) >> 1)
		dst[2*i] = byte(((sum+2*(n0+f1))>>3 + n1) >> 1)
		n0, f0 = n1, f1
	}
	if w&1 == 0 {
		dst[w-1] = byte((3*n0 + f0 + 2) >> 2)
	}
}

// clamp limits v to 0..255.
func clamp(v int32) byte {
	if uint32(v) > 255 {
		v = ^(v >> 31) // 0 below, -1 above
	}
	return byte(v)
}

// ycbcrRow converts by JFIF's matrix, in libjpeg's fixed point of 16 bits.
func ycbcrRow(dst, y, cb, cr []byte) {
	const half = 1 << 15
	cb, cr = cb[:len(y)], cr[:len(y)]
	dst = dst[:3*len(y)]
	for i, l := range y {
		l, u, v := int32(l), int32(cb[i])-128, int32(cr[i])-128
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0] = clamp(l + (91881*v+half)>>16)
		d[1] = clamp(l + (half-22554*u-46802*v)>>16)
		d[2] = clamp(l + (116130*u+half)>>16)
	}
}

// vp8Row converts by the ITU-R BT.601 matrix for video range, in libwebp's
// fixed point.
func vp8Row(dst, y, u, v []byte) {
	u, v = u[:len(y)], v[:len(y)]
	dst = dst[:3*len(y)]
	for i, l := range y {
		d := dst[3*i : 3*i+3 : 3*i+3]
		ly, lu, lv := int32(l)*19077>>8, int32(u[i]), int32(v[i])
		d[0] = clamp((ly + lv*26149>>8 - 14234) >> 6)
		d[1] = clamp((ly - lu*6419>>8 - lv*13320>>8 + 8708) >> 6)
		d[2] = clamp((ly + lu*33050>>8 - 17685) >> 6)
	}
}

func grayRow(dst, y []byte) {
	dst = dst[:3*len(y)]
	for i, l := range y {
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = l, l, l
	}
}

func rgbRow(dst, r, g, b []byte) {
	g, b = g[:len(r)], b[:len(r)]
	dst = dst[:3*len(r)]
	for i := range r {
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = r[i], g[i], b[i]
	}
}

// cmykRow takes four inks as Adobe stores them in JPEG, inverted: 255 means no
// ink. Pillow reads all JPEG of four channels so.
func cmykRow(dst, c, m, y, k []byte) {
	for i, white := range k {
		dst[3*i] = paper(^c[i], white)
		dst[3*i+1] = paper(^m[i], white)
		dst[3*i+2] = paper(^y[i], white)
	}
}

// ycckRow is cmykRow for inks that have been through the YCbCr transform,
// which inverts them once more.
func ycckRow(dst, y, cb, cr, k []byte) {
	ycbcrRow(dst, y, cb, cr)
	for i, white := range k {
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = paper(d[0], white), paper(d[1], white), paper(d[2], white)
	}
}

// paper returns what is seen of paper, of which black ink leaves white, under
// a coloured ink: white × (1 - ink/255), with Pillow's rounding.
func paper(ink, white byte) byte {
	t := uint32(ink)*uint32(white) + 128
	return white - byte((t>>8+t)>>8)
}
