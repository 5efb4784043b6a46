package recommend

// The kernels below multiply vectors. Each product is summed in the order of the
// elements by one chain of additions, so that a score does not depend on what is
// computed beside it; eight chains at once keep the processor busy all the same.
// All vectors have the length of the first.

// dots8 multiplies one query with eight items.
func dots8(q, a, b, c, d, e, f, g, h []float32) (sa, sb, sc, sd, se, sf, sg, sh float32) {
	n := len(q)
	a, b, c, d = a[:n], b[:n], c[:n], d[:n]
	e, f, g, h = e[:n], f[:n], g[:n], h[:n]
	for k, x := range q {
		sa += float32(x * a[k])
		sb += float32(x * b[k])
		sc += float32(x * c[k])
		sd += float32(x * d[k])
		se += float32(x * e[k])
		sf += float32(x * f[k])
		sg += float32(x * g[k])
		sh += float32(x * h[k])
	}
	return sa, sb, sc, sd, se, sf, sg, sh
}

// dots4x2 multiplies four queries with two items.
func dots4x2(p, q, r, s, a, b []float32) (pa, qa, ra, sa, pb, qb, rb, sb float32) {
	n := len(p)
	q, r, s, a, b = q[:n], r[:n], s[:n], a[:n], b[:n]
	for k, x := range p {
		u, v := a[k], b[k]
		pa += float32(x * u)
		pb += float32(x * v)
		y, z, w := q[k], r[k], s[k]
		qa += float32(y * u)
		qb += float32(y * v)
		ra += float32(z * u)
		rb += float32(z * v)
		sa += float32(w * u)
		sb += float32(w * v)
	}
	return pa, qa, ra, sa, pb, qb, rb, sb
}

// dot multiplies two vectors.
func dot(q, a []float32) (s float32) {
	a = a[:len(q)]
	for k, x := range q {
		s += float32(x * a[k])
	}
	return s
}

// product writes the products of one query with the vectors of consecutive items.
func product(out, q, vectors []float32) {
	n := len(q)
	i := 0
	for ; i+8 <= len(out); i += 8 {
		v := vectors[i*n : (i+8)*n]
		o := out[i : i+8]
		o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7] = dots8(q,
			v[:n], v[n:2*n], v[2*n:3*n], v[3*n:4*n], v[4*n:5*n], v[5*n:6*n], v[6*n:7*n], v[7*n:8*n])
	}
	for ; i < len(out); i++ {
		out[i] = dot(q, vectors[i*n:(i+1)*n])
	}
}

// product4 is product for four queries.
func product4(outs *[4][]float32, qs *[4][]float32, vectors []float32) {
	n := len(qs[0])
	m := len(outs[0])
	o0, o1, o2, o3 := outs[0], outs[1][:m], outs[2][:m], outs[3][:m]
	i := 0
	for ; i+2 <= m; i += 2 {
		v := vectors[i*n : (i+2)*n]
		o0[i], o1[i], o2[i], o3[i], o0[i+1], o1[i+1], o2[i+1], o3[i+1] = dots4x2(qs[0], qs[1], qs[2], qs[3], v[:n], v[n:])
	}
	if i < m {
		v := vectors[i*n : (i+1)*n]
		o0[i], o1[i], o2[i], o3[i] = dot(qs[0], v), dot(qs[1], v), dot(qs[2], v), dot(qs[3], v)
	}
}

// productAt writes the products of one query with the vectors of some items.
func productAt(out, q, vectors []float32, places []int32) {
	n := len(q)
	at := func(i int) []float32 { p := int(places[i]); return vectors[p*n : (p+1)*n] }
	i := 0
	for ; i+8 <= len(places); i += 8 {
		o := out[i : i+8]
		o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7] = dots8(q, at(i), at(i+1), at(i+2), at(i+3), at(i+4), at(i+5), at(i+6), at(i+7))
	}
	for ; i < len(places); i++ {
		out[i] = dot(q, at(i))
	}
}
