"""Figures by the batch: scenes and values drawn as for single figures, pixels made with torch.

A figure is drawn (which rule, which scenes) by the same code as anywhere, in a fraction of a
millisecond; only pixels are made otherwise, for whole batches at once and on any device.  So both
ways have one distribution.  What torch can draw here is a part of what Pillow can: flat things of
the named shapes, all textures, backgrounds but pictures, landscapes and mosaics, no light, no
camera; and the rules in :data:`~vicl.figures.batched.rules.BATCHED_RULES`.
"""
