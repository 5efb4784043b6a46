package pixel

// The inverse discrete cosine transform after Loeffler, Ligtenberg and
// Moschytz ("Practical fast 1-D DCT algorithms with 11 multiplications", 1989)
// in fixed point, with the precision and rounding of libjpeg's accurate integer
// version. Another transform would be as good, but not the same in the last
// bit.

const (
	idctBits  = 13 // of the constants below
	idctExtra = 2  // kept between the passes
)

// The constants are round(c × 2^13).
const (
	idct0298 = 2446
	idct0390 = 3196
	idct0541 = 4433
	idct0765 = 6270
	idct0899 = 7373
	idct1175 = 9633
	idct1501 = 12299
	idct1847 = 15137
	idct1961 = 16069
	idct2053 = 16819
	idct2562 = 20995
	idct3072 = 25172
)

// idct1D transforms eight values. The results are scaled by 2^13.
func idct1D(i0, i1, i2, i3, i4, i5, i6, i7 int32) (o0, o1, o2, o3, o4, o5, o6, o7 int32) {
	// Even part.
	z := (i2 + i6) * idct0541
	t2, t3 := z-i6*idct1847, z+i2*idct0765
	t0, t1 := (i0+i4)<<idctBits, (i0-i4)<<idctBits
	e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2

	// Odd part.
	z1, z2, z3, z4 := i7+i1, i5+i3, i7+i3, i5+i1
	z5 := (z3 + z4) * idct1175
	z1 *= -idct0899
	z2 *= -idct2562
	z3 = z5 - z3*idct1961
	z4 = z5 - z4*idct0390
	d0 := i7*idct0298 + z1 + z3
	d1 := i5*idct2053 + z2 + z4
	d2 := i3*idct3072 + z2 + z3
	d3 := i1*idct1501 + z1 + z4

	return e0 + d3, e1 + d2, e2 + d1, e3 + d0, e3 - d0, e2 - d1, e1 - d2, e0 - d3
}

// idct dequantises and transforms a block and writes its 8 × 8 samples to dst,
// whose rows are stride apart. No coefficient lies beyond position last in
// zigzag order.
func idct(dst []byte, stride int, b *block, quant *[64]int32, last int) {
	if last == 0 { // one value all over
		const shift = 3
		v := clamp((int32(b[0])*quant[0]+1<<(shift-1))>>shift + 128)
		for y := range 8 {
			row := dst[y*stride:][:8]
			for x := range row {
				row[x] = v
			}
		}
		return
	}
	var t [64]int32
	for x := range 8 { // columns
		c0 := int32(b[x]) * quant[x]
		if b[x+8]|b[x+16]|b[x+24]|b[x+32]|b[x+40]|b[x+48]|b[x+56] == 0 {
			c0 <<= idctExtra
			t[x], t[x+8], t[x+16], t[x+24], t[x+32], t[x+40], t[x+48], t[x+56] = c0, c0, c0, c0, c0, c0, c0, c0
			continue
		}
		o0, o1, o2, o3, o4, o5, o6, o7 := idct1D(c0,
			int32(b[x+8])*quant[x+8], int32(b[x+16])*quant[x+16], int32(b[x+24])*quant[x+24], int32(b[x+32])*quant[x+32],
			int32(b[x+40])*quant[x+40], int32(b[x+48])*quant[x+48], int32(b[x+56])*quant[x+56])
		const shift = idctBits - idctExtra
		const half = 1 << (shift - 1)
		t[x], t[x+8], t[x+16], t[x+24] = (o0+half)>>shift, (o1+half)>>shift, (o2+half)>>shift, (o3+half)>>shift
		t[x+32], t[x+40], t[x+48], t[x+56] = (o4+half)>>shift, (o5+half)>>shift, (o6+half)>>shift, (o7+half)>>shift
	}
	for y := range 8 { // rows
		r := t[8*y : 8*y+8 : 8*y+8]
		o0, o1, o2, o3, o4, o5, o6, o7 := idct1D(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7])
		const shift = idctBits + idctExtra + 3
		const half = 1<<(shift-1) + 128<<shift
		row := dst[y*stride:][:8]
		row[0], row[1], row[2], row[3] = clamp((o0+half)>>shift), clamp((o1+half)>>shift), clamp((o2+half)>>shift), clamp((o3+half)>>shift)
		row[4], row[5], row[6], row[7] = clamp((o4+half)>>shift), clamp((o5+half)>>shift), clamp((o6+half)>>shift), clamp((o7+half)>>shift)
	}
}
