package modbus

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	goburrow "github.com/goburrow/modbus"
)

// Sizes of frames (MODBUS over Serial Line V1.02, 2.5.1 and 2.5.2).
const (
	mostData      = 2 * maxRegisters
	rtuOverhead   = 5 // unit, function, count of bytes, two bytes of checksum
	exceptionSize = 3 // unit, function, code
	// largestAnswer holds an ASCII frame of the most data, and what may follow it.
	largestAnswer = 1024
)

// asked is a request to read.
type asked struct {
	unit, function byte
	start, count   uint16
}

// data is how many bytes of data answer it.
func (q *asked) data() int {
	if table(q.function).bits() {
		return (int(q.count) + 7) / 8
	}
	return 2 * int(q.count)
}

// framing is a way to write requests and answers on a line. What answers a
// request is known from the request, so frames end where they must and not
// where the line pauses: USB adapters and schedulers pause as they like.
type framing interface {
	// packager writes a unit's requests.
	packager(unit byte) goburrow.Packager
	// parse reads a request that packager wrote.
	parse(request []byte) (asked, error)
	// length tells how long the answer that begins with got is, 0 while that is
	// not known, or why got cannot begin an answer to q.
	length(q *asked, got []byte) (int, error)
	// check tells why a frame of that length is no answer to q; an exception is
	// an answer.
	check(q *asked, frame []byte) (exception bool, err error)
}

// head checks unit, function and count of bytes as far as they are there, and
// tells how many bytes the answer has without its checksum.
func (q *asked) head(got []byte) (int, error) {
	if len(got) > 0 && got[0] != q.unit {
		return 0, fmt.Errorf("answer is from unit %d, asked was unit %d", got[0], q.unit)
	}
	if len(got) < 2 {
		return 0, nil
	}
	if got[1] == q.function|0x80 {
		return exceptionSize, nil
	}
	if got[1] != q.function {
		return 0, fmt.Errorf("answer to function %d, asked was function %d", got[1], q.function)
	}
	if len(got) < 3 {
		return 0, nil
	}
	if want := q.data(); int(got[2]) != want {
		return 0, fmt.Errorf("answer claims %d bytes of data, want %d", got[2], want)
	}
	return 3 + q.data(), nil
}

// rtu is the binary framing, with a CRC.
type rtu struct{}

func (rtu) packager(unit byte) goburrow.Packager {
	h := goburrow.NewRTUClientHandler("") // only its packager is used
	h.SlaveId = unit
	return h
}

func (rtu) parse(request []byte) (asked, error) {
	if len(request) != 8 {
		return asked{}, fmt.Errorf("request of %d bytes, want 8", len(request))
	}
	return asked{request[0], request[1], binary.BigEndian.Uint16(request[2:]), binary.BigEndian.Uint16(request[4:])}, nil
}

func (rtu) length(q *asked, got []byte) (int, error) {
	n, err := q.head(got)
	if n == 0 {
		return 0, err
	}
	return n + 2, nil
}

func (f rtu) check(q *asked, frame []byte) (exception bool, err error) {
	if want, err := f.length(q, frame); err != nil {
		return false, err
	} else if want != len(frame) {
		return false, fmt.Errorf("answer has %d bytes, want %d", len(frame), want)
	}
	n := len(frame) - 2
	if binary.LittleEndian.Uint16(frame[n:]) != crc16(frame[:n]) {
		return false, errors.New("answer has a wrong checksum (CRC)")
	}
	return frame[1] != q.function, nil
}

// crc16 is RTU's checksum (MODBUS over Serial Line V1.02, 6.2.2).
func crc16(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 == 1 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// ascii is the framing in hexadecimal digits, with an LRC.
type ascii struct{}

// asciiLength is that of a frame which has so many bytes before its checksum.
func asciiLength(n int) int { return 1 + 2*(n+1) + 2 }

func (ascii) packager(unit byte) goburrow.Packager {
	h := goburrow.NewASCIIClientHandler("") // only its packager is used
	h.SlaveId = unit
	return h
}

func (ascii) parse(request []byte) (asked, error) {
	var b [7]byte
	if len(request) != asciiLength(6) || request[0] != ':' {
		return asked{}, fmt.Errorf("request of %d characters, want %d", len(request), asciiLength(6))
	}
	if _, err := hex.Decode(b[:], request[1:len(request)-2]); err != nil {
		return asked{}, err
	}
	return asked{b[0], b[1], binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[4:])}, nil
}

func (ascii) length(q *asked, got []byte) (int, error) {
	if len(got) > 0 && got[0] != ':' {
		return 0, fmt.Errorf("answer begins with %q, want a colon: not Modbus ASCII", got[0])
	}
	var b [3]byte
	digits := got[min(1, len(got)):min(7, len(got))]
	n, err := hex.Decode(b[:], digits[:len(digits)&^1])
	if err != nil {
		return 0, errors.New("answer has other characters than hexadecimal digits")
	}
	if n, err = q.head(b[:n]); n == 0 {
		return 0, err
	}
	return asciiLength(n), nil
}

func (f ascii) check(q *asked, frame []byte) (exception bool, err error) {
	if want, err := f.length(q, frame); err != nil {
		return false, err
	} else if want != len(frame) {
		return false, fmt.Errorf("answer has %d characters, want %d", len(frame), want)
	}
	end := len(frame) - 2
	if frame[end] != '\r' || frame[end+1] != '\n' {
		return false, errors.New("answer does not end with CR and LF")
	}
	var buf [largestAnswer / 2]byte
	n, err := hex.Decode(buf[:], frame[1:end])
	if err != nil {
		return false, errors.New("answer has other characters than hexadecimal digits")
	}
	var sum byte
	for _, b := range buf[:n] {
		sum += b
	}
	if sum != 0 { // the last byte is minus the sum of the others
		return false, errors.New("answer has a wrong checksum (LRC)")
	}
	return buf[1] != q.function, nil
}
