"""Images in and out: safe reading, exact conversion, resizing, atomic saving.

Inside the library an image is a float32 RGB tensor (3, h, w) in [0, 1].  Outside it is whatever
people have: a file (JPEG, PNG, WebP, AVIF, BMP, TIFF, GIF), a PIL image, a NumPy array, a tensor.

Colour profiles (ICC) are left alone: the numbers are taken as they are stored.
"""

from vicl.images.brief import brief as brief
from vicl.images.brief import brief_fields as brief_fields
from vicl.images.converting import Filter as Filter
from vicl.images.converting import ImageLike as ImageLike
from vicl.images.converting import as_floats as as_floats
from vicl.images.converting import highest_value as highest_value
from vicl.images.converting import open_levels as open_levels
from vicl.images.converting import open_shrunk as open_shrunk
from vicl.images.converting import resize as resize
from vicl.images.converting import resize_map as resize_map
from vicl.images.converting import shrink as shrink
from vicl.images.converting import shrunk_size as shrunk_size
from vicl.images.converting import size_of as size_of
from vicl.images.converting import to_levels as to_levels
from vicl.images.converting import to_pil as to_pil
from vicl.images.converting import to_tensor as to_tensor
from vicl.images.decoding import DEFAULT_LIMIT_PIXELS as DEFAULT_LIMIT_PIXELS
from vicl.images.decoding import ImageError as ImageError
from vicl.images.decoding import open_bytes as open_bytes
from vicl.images.decoding import open_image as open_image
from vicl.images.encoding import check_suffix as check_suffix
from vicl.images.encoding import encode_image as encode_image
from vicl.images.encoding import save_image as save_image
from vicl.images.finding import APP_PROJECT as APP_PROJECT
from vicl.images.finding import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from vicl.images.finding import find_images as find_images
from vicl.images.fingerprint import fingerprint as fingerprint
from vicl.images.fingerprint import settle as settle
from vicl.images.frames import Frame as Frame
from vicl.images.frames import count_frames as count_frames
from vicl.images.frames import open_frames as open_frames
from vicl.images.headers import size_in_header as size_in_header
from vicl.images.headers import stored_turn as stored_turn
from vicl.images.modes import shared_white as shared_white
from vicl.images.modes import to_rgb as to_rgb
