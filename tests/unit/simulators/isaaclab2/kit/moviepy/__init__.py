"""Stand-in for moviepy, which Isaac Lab's image holds: Gymnasium's RecordVideo writes through it."""
