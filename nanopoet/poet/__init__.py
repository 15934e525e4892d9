"""The poet: presets and data, a run in its folder, training, writing, measuring."""
