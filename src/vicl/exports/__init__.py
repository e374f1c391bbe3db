"""Answers in the formats that people's tools read: PNG masks, COCO, YOLO, LabelMe, VOC.

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
Pascal VOC :func:`voc`, :func:`write_voc`
========== ============================================= ==============================

:mod:`vicl.exports.reading` reads these formats as outputs of examples.
:func:`vicl.exports.writers.open_writer` writes whole answers as they come, in any of these;
:mod:`vicl.exports.answers` says what is told of one, as JSON or on a contact sheet;
:func:`overlay` draws one over its image.
"""

from vicl.exports.annotation import Annotation as Annotation
from vicl.exports.annotation import ExportError as ExportError
from vicl.exports.coco import CocoAnnotation as CocoAnnotation
from vicl.exports.coco import CocoCategory as CocoCategory
from vicl.exports.coco import CocoDataset as CocoDataset
from vicl.exports.coco import CocoImage as CocoImage
from vicl.exports.coco import CocoStyle as CocoStyle
from vicl.exports.coco import coco_annotations as coco_annotations
from vicl.exports.coco import coco_dataset as coco_dataset
from vicl.exports.coco import coco_image_record as coco_image_record
from vicl.exports.coco import read_coco as read_coco
from vicl.exports.coco import write_coco as write_coco
from vicl.exports.coco_writer import CocoWriter as CocoWriter
from vicl.exports.labelme import labelme as labelme
from vicl.exports.labelme import write_labelme as write_labelme
from vicl.exports.masks import mask_image as mask_image
from vicl.exports.masks import mask_png as mask_png
from vicl.exports.masks import write_label_map as write_label_map
from vicl.exports.overlay import overlay as overlay
from vicl.exports.regions import EDGE_INSET as EDGE_INSET
from vicl.exports.regions import Instances as Instances
from vicl.exports.rle import Rle as Rle
from vicl.exports.rle import decode_rle as decode_rle
from vicl.exports.rle import encode_rle as encode_rle
from vicl.exports.voc import voc as voc
from vicl.exports.voc import write_voc as write_voc
from vicl.exports.yolo import write_yolo as write_yolo
from vicl.exports.yolo import write_yolo_classes as write_yolo_classes
from vicl.exports.yolo import yolo_boxes as yolo_boxes
from vicl.exports.yolo import yolo_segments as yolo_segments
from vicl.tasks.boxes import Box as Box
