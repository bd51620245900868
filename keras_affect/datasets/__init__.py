"""Readers: files in, `tf.data` of ``(image, {"emotion": ..., "valence_arousal": ...})`` out."""
