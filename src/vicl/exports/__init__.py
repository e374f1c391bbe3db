"""Answers in the formats that people's tools read: PNG masks, COCO, YOLO, LabelMe.

:class:`Annotation` is what was found in one image, as plain data; every writer takes it.  Classes
are numbers from 1 with 0 for the background, boxes are half-open (x0, y0, x1, y1) in pixels, and
outlines run along the edges of pixels.  Files appear whole or not at all.

========== ============================================= ==============================
format     one image                                     a set
========== ============================================= ==============================
PNG        :func:`mask_png`                              :func:`write_label_map`
COCO       :func:`coco_image_record`,                    :class:`CocoWriter`,
           :func:`coco_annotations`                      :func:`coco_dataset`,
                                                         :func:`write_coco`,
                                                         :func:`read_coco`
YOLO       :func:`yolo_boxes`, :func:`yolo_segments`,    :func:`write_yolo_classes`
           :func:`write_yolo`
LabelMe    :func:`labelme`, :func:`write_labelme`
========== ============================================= ==============================

:func:`vicl.exports.writers.open_writer` writes whole answers as they come, in any of these;
:mod:`vicl.exports.answers` says what is told of one, as JSON or on a contact sheet.
"""

from __future__ import annotations

from vicl.exports.annotation import Annotation, ExportError
from vicl.exports.coco import (
    CocoAnnotation,
    CocoCategory,
    CocoDataset,
    CocoImage,
    CocoStyle,
    coco_annotations,
    coco_dataset,
    coco_image_record,
    read_coco,
    write_coco,
)
from vicl.exports.coco_writer import CocoWriter
from vicl.exports.labelme import labelme, write_labelme
from vicl.exports.masks import mask_image, mask_png, write_label_map
from vicl.exports.regions import EDGE_INSET, Instances
from vicl.exports.rle import Rle, decode_rle, encode_rle
from vicl.exports.yolo import write_yolo, write_yolo_classes, yolo_boxes, yolo_segments
from vicl.tasks.boxes import Box

__all__ = [
    "EDGE_INSET",
    "Annotation",
    "Box",
    "CocoAnnotation",
    "CocoCategory",
    "CocoDataset",
    "CocoImage",
    "CocoStyle",
    "CocoWriter",
    "ExportError",
    "Instances",
    "Rle",
    "coco_annotations",
    "coco_dataset",
    "coco_image_record",
    "decode_rle",
    "encode_rle",
    "labelme",
    "mask_image",
    "mask_png",
    "read_coco",
    "write_coco",
    "write_label_map",
    "write_labelme",
    "write_yolo",
    "write_yolo_classes",
    "yolo_boxes",
    "yolo_segments",
]
