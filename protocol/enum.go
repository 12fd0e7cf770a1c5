package protocol

// Validate that the status is known.
func (x Status) Validate() error { return validateEnum(int32(x), Status_name) }

// Validate that the codec is known, and isn't INVALID.
func (x CompressionCodec) Validate() error {
	if x == CompressionCodec_INVALID {
		return invalid("invalid value (INVALID)")
	}
	return validateEnum(int32(x), CompressionCodec_name)
}

// Validate that the flag is known; flags don't combine.
func (x JournalSpec_Flag) Validate() error { return validateEnum(int32(x), JournalSpec_Flag_name) }

// MayRead reports whether the flag allows reads.
func (x JournalSpec_Flag) MayRead() bool { return x != JournalSpec_O_WRONLY }

// MayWrite reports whether the flag allows appends of content.
func (x JournalSpec_Flag) MayWrite() bool { return x != JournalSpec_O_RDONLY }

// Validate that the level is known.
func (x JournalSpec_Suspend_Level) Validate() error {
	return validateEnum(int32(x), JournalSpec_Suspend_Level_name)
}

// Validate that the behaviour is known.
func (x AppendRequest_Suspend) Validate() error {
	return validateEnum(int32(x), AppendRequest_Suspend_name)
}

func validateEnum(value int32, names map[int32]string) error {
	if _, ok := names[value]; !ok {
		return invalid("invalid value (%d)", value)
	}
	return nil
}
