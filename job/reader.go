package job

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxLineBytes is the longest job line that is read: beyond it the message to a worker could not be sent either.
const MaxLineBytes = 1 << 20

// Reader reads jobs from JSON lines, one at a time, in memory that does not grow with the file. Empty lines are
// skipped.
type Reader struct {
	file string
	in   *bufio.Reader
	line int
	buf  []byte
}

// NewReader reads from in; file names it in errors.
func NewReader(file string, in io.Reader) *Reader {
	return &Reader{file: file, in: bufio.NewReaderSize(in, 64<<10)}
}

// Next returns the next job. A line with errors returns *[Errors], naming all of that line, beside what could be read
// of the job; the caller may go on with the next line, and give the [Checker] this job all the same, so that its children
// are not called orphans. The end of the file is io.EOF; any other error is the underlying reader's and final.
func (r *Reader) Next() (Spec, error) {
	for {
		line, err := r.readLine()
		if err != nil {
			return Spec{}, err
		}
		if r.line == 1 {
			line = bytes.TrimPrefix(line, []byte(byteOrderMark))
		}
		errs := &Errors{}
		if len(line) > MaxLineBytes { // before it is found to be empty: the rest of it was not kept
			errs.Add(&Error{r.file, r.line, 0, fmt.Sprintf("line is longer than %d bytes", MaxLineBytes)})
			return Spec{}, errs
		}
		if len(bytes.Trim(line, " \t\r")) == 0 {
			continue
		}
		number := r.line
		d := newDecoder(r.file, line, errs, func(offset int64) position { return position{number, int(offset) + 1} })
		s := d.spec()
		d.end()
		return s, errs.Err()
	}
}

// byteOrderMark is U+FEFF in UTF-8, with which some editors begin a file.
const byteOrderMark = "\xef\xbb\xbf"

// readLine returns the next line without its end, or at most a little over MaxLineBytes of it.
func (r *Reader) readLine() ([]byte, error) {
	r.buf = r.buf[:0]
	r.line++
	for {
		part, err := r.in.ReadSlice('\n')
		if len(r.buf) <= MaxLineBytes {
			r.buf = append(r.buf, part...)
		}
		switch {
		case err == nil:
			return bytes.TrimSuffix(bytes.TrimSuffix(r.buf, []byte("\n")), []byte("\r")), nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			if len(r.buf) == 0 {
				return nil, io.EOF
			}
			return r.buf, nil
		default:
			return nil, fmt.Errorf("read %s: %w", r.file, err)
		}
	}
}
