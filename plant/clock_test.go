package plant

import "testing"

func TestPlaceTakesBackWhatMisplaceSaid(t *testing.T) {
	for _, r := range []Reading{
		{Value: Integer(1)},
		{Value: Integer(1), Quality: Uncertain, Reason: "last usable value: held"},
		{Value: Integer(1), Quality: Uncertain},
		{Quality: Bad, Reason: "no answer within 1s"},
		{Quality: Bad},
	} {
		for _, why := range []string{ReasonClockUnset, ReasonClockAhead} {
			m := r
			m.Misplace(why)
			if !m.Misplaced() || m.Value != r.Value || m.Quality < r.Quality {
				t.Errorf("%+v misplaced is %+v", r, m)
			}
			twice := m
			twice.Misplace(ReasonClockUnset)
			if twice != m {
				t.Errorf("misplaced twice is %+v", twice)
			}
			m.Place(why)
			if m != r {
				t.Errorf("%+v came back as %+v", r, m)
			}
			if m.Misplaced() {
				t.Errorf("%+v is misplaced", m)
			}
		}
	}
}
