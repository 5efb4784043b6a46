package pipeline

import (
	"maps"

	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// TableReport tells what became of rows of a table.
type TableReport struct {
	// Errors holds an *InputError by row for every row that cannot be scored.
	Errors map[int]error

	unknown []*scoringv1.TableWarning
	tallies []tally // by the features' slots and one for the row itself, then by code
}

// codes is the number of warning codes.
const codes = int(servingv1.WarningCode_WARNING_CODE_LOW_SUPPORT) + 1

// tally counts the rows to which one remark on one column applies.
type tally struct {
	count int64
	rows  []int64 // the first of them
	last  int     // the last of them, plus one
	field string
	note  remark
}

// MaxWarnedRows bounds the rows that a joined warning names.
const MaxWarnedRows = 100

func newTableReport(t *Table) *TableReport {
	return &TableReport{Errors: map[int]error{}, unknown: t.unknown, tallies: make([]tally, (t.plan.slots+1)*codes)}
}

// fail keeps a row's first error.
func (r *TableReport) fail(row int, field string, err *InputError) {
	if _, have := r.Errors[row]; !have {
		err.Field = field
		r.Errors[row] = err
	}
}

func (r *TableReport) warn(slot, row int, field string, note remark) {
	t := &r.tallies[slot*codes+int(note.code)]
	if t.count == 0 {
		t.field, t.note = field, note
	}
	if t.last == row+1 {
		return // another event of the row
	}
	t.last = row + 1
	if len(t.rows) < MaxWarnedRows {
		t.rows = append(t.rows, int64(row))
	}
	t.count++
}

// Merge adds what was found in the rows that follow.
func (r *TableReport) Merge(next *TableReport) {
	maps.Copy(r.Errors, next.Errors)
	for i := range r.tallies {
		into, from := &r.tallies[i], &next.tallies[i]
		if into.count == 0 {
			*into = *from
			continue
		}
		into.count += from.count
		into.rows = append(into.rows, from.rows[:min(len(from.rows), MaxWarnedRows-len(into.rows))]...)
	}
}

// Warnings returns the remarks, joined over rows: unknown columns first, then
// by feature.
func (r *TableReport) Warnings() []*scoringv1.TableWarning {
	out := append([]*scoringv1.TableWarning{}, r.unknown...)
	for i := range r.tallies {
		if t := &r.tallies[i]; t.count > 0 {
			out = append(out, &scoringv1.TableWarning{
				Warning: &Warning{Code: t.note.code, Field: t.field, Message: t.note.message},
				Count:   t.count, Rows: t.rows,
			})
		}
	}
	return out
}
