package sip

// Edit is one change that Splice makes to a message on its way through.
type Edit struct {
	Line int // header line that it concerns; ignored by EditStart
	Kind EditKind
	Text string // whole line or lines without the last line end
}

// EditKind says what an Edit does.
type EditKind uint8

// Kinds of edits.
const (
	EditInsert  EditKind = iota // put Text in front of Line; Line = Len() puts it after the last one
	EditReplace                 // put Text in the place of Line
	EditRemove                  // leave Line out
	EditStart                   // put Text in the place of the start line
)

// Splice appends the message to dst with the edits made; they must be in the order of their lines, an
// EditStart first. Everything else leaves byte for byte as it came: order, case, blanks, unknown headers and
// body.
func (m *Message) Splice(dst []byte, edits ...Edit) []byte {
	at := 0
	for _, e := range edits {
		switch e.Kind {
		case EditStart:
			_, next := cutLine(m.raw, 0)
			dst = append(append(dst, e.Text...), "\r\n"...)
			at = next
		case EditInsert:
			line := m.headersEnd
			if e.Line < m.n {
				line = int(m.at(e.Line).name)
			}
			dst = append(append(append(dst, m.raw[at:line]...), e.Text...), "\r\n"...)
			at = line
		default:
			s := m.at(e.Line)
			dst = append(dst, m.raw[at:s.name]...)
			if e.Kind == EditReplace {
				dst = append(append(dst, e.Text...), "\r\n"...)
			}
			at = int(s.end)
		}
	}
	end := len(m.raw)
	if m.headersEnd < end {
		_, body := cutLine(m.raw, m.headersEnd)
		end = body + len(m.body)
	}
	return append(dst, m.raw[at:end]...)
}
