"""A small baseline JPEG encoder for kinds of files that Pillow does not write.

It takes any sampling factors and any number of components, which is all that
the pictures for the decoder's tests need; it is neither fast nor good at
compressing.
"""

import struct

import numpy as np

ZIGZAG = np.array([
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63])

# One Huffman code of 8 bits for every symbol: wasteful, but complete and
# simple. The code of all ones is not allowed, so 255 symbols at most.
DC_SYMBOLS = list(range(12))
AC_SYMBOLS = [run << 4 | size for run in range(16) for size in range(1, 11)] + [0x00, 0xF0]


def segment(marker, body):
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


class BitWriter:
    def __init__(self):
        self.bits = []

    def put(self, value, n):
        self.bits.extend((value >> i) & 1 for i in range(n - 1, -1, -1))

    def bytes(self):
        bits = self.bits + [1] * (-len(self.bits) % 8)
        return np.packbits(np.array(bits, dtype=np.uint8)).tobytes().replace(b"\xff", b"\xff\x00")


def dct_matrix():
    k, n = np.mgrid[0:8, 0:8]
    m = np.cos((2 * n + 1) * k * np.pi / 16) / 2
    m[0] /= np.sqrt(2)
    return m


def put_number(out, value, codes, run):
    size = int(abs(value)).bit_length()
    out.put(codes[run << 4 | size], 8)
    if size:
        out.put(value if value > 0 else value + (1 << size) - 1, size)


def encode(planes, sampling, size, markers=b"", ids=None, quant=8):
    """Returns a JPEG file.

    planes: full-resolution uint8 arrays [h, w], one a component.
    sampling: (horizontal, vertical) factor of each component.
    size: (width, height).
    markers: segments to put in front, such as an Adobe marker.
    """
    width, height = size
    ids = ids or list(range(1, len(planes) + 1))
    h_max, v_max = max(h for h, _ in sampling), max(v for _, v in sampling)
    mcus_x, mcus_y = -(-width // (8 * h_max)), -(-height // (8 * v_max))
    dct = dct_matrix()

    blocks = []  # of each component: [rows, columns, 64] in zigzag order
    for plane, (h, v) in zip(planes, sampling):
        fx, fy = h_max // h, v_max // v
        full_w, full_h = mcus_x * 8 * h_max, mcus_y * 8 * v_max
        p = np.pad(plane.astype(float), ((0, full_h - height), (0, full_w - width)), mode="edge")
        p = p.reshape(full_h // fy, fy, full_w // fx, fx).mean(axis=(1, 3)).round() - 128
        rows, columns = p.shape[0] // 8, p.shape[1] // 8
        p = p.reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
        coefficients = np.rint(dct @ p @ dct.T / quant).astype(int).reshape(rows, columns, 64)
        blocks.append(coefficients[:, :, ZIGZAG])

    dc = {s: i for i, s in enumerate(DC_SYMBOLS)}
    ac = {s: i for i, s in enumerate(AC_SYMBOLS)}
    out, last = BitWriter(), [0] * len(planes)
    for my in range(mcus_y):
        for mx in range(mcus_x):
            for c, (h, v) in enumerate(sampling):
                for y in range(my * v, my * v + v):
                    for x in range(mx * h, mx * h + h):
                        b = blocks[c][y, x]
                        put_number(out, int(b[0]) - last[c], dc, 0)
                        last[c] = int(b[0])
                        run = 0
                        end = int(np.max(np.nonzero(b)[0], initial=0))
                        for value in b[1:end + 1]:
                            if value == 0:
                                run += 1
                                continue
                            while run > 15:
                                out.put(ac[0xF0], 8)
                                run -= 16
                            put_number(out, int(value), ac, run)
                            run = 0
                        if end < 63:
                            out.put(ac[0x00], 8)

    frame = struct.pack(">BHHB", 8, height, width, len(planes))
    scan = bytes([len(planes)])
    for i, (h, v) in zip(ids, sampling):
        frame += bytes([i, h << 4 | v, 0])
        scan += bytes([i, 0])
    return (
        b"\xff\xd8" + markers
        + segment(0xDB, bytes([0]) + bytes([quant] * 64))
        + segment(0xC0, frame)
        + segment(0xC4, bytes([0x00] + [0] * 7 + [len(DC_SYMBOLS)] + [0] * 8 + DC_SYMBOLS))
        + segment(0xC4, bytes([0x10] + [0] * 7 + [len(AC_SYMBOLS)] + [0] * 8 + AC_SYMBOLS))
        + segment(0xDA, scan + bytes([0, 63, 0]))
        + out.bytes() + b"\xff\xd9"
    )
