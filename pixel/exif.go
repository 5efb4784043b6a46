package pixel

import (
	"bytes"
	"encoding/binary"
)

// exifOrientation finds the orientation in an EXIF block (a TIFF header and
// its first directory, with or without the "Exif\0\0" in front). It returns 1,
// as stored, when there is none or the block makes no sense: a picture is not
// refused for its metadata.
func exifOrientation(b []byte) int {
	b = bytes.TrimPrefix(b, []byte("Exif\x00\x00"))
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 1
	}
	b = b[at:]
	entries := int(order.Uint16(b))
	b = b[2:]
	const orientationTag, entrySize = 0x0112, 12
	for ; entries > 0 && len(b) >= entrySize; entries, b = entries-1, b[entrySize:] {
		if order.Uint16(b) != orientationTag || order.Uint32(b[4:]) != 1 {
			continue
		}
		var o uint32
		switch order.Uint16(b[2:]) { // element type
		case 1: // byte
			o = uint32(b[8])
		case 3: // short
			o = uint32(order.Uint16(b[8:]))
		case 4: // long
			o = order.Uint32(b[8:])
		}
		if o >= 1 && o <= 8 {
			return int(o)
		}
		return 1
	}
	return 1
}
