package committed

// SetMaxLine makes a shorter line a long one.
func (r *Reader) SetMaxLine(n int64) { r.maxLine = n }
