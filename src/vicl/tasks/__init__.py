"""Tasks: how an annotation is drawn as an image, and read back from one."""

from vicl.tasks.detection import Boxes as Boxes
from vicl.tasks.detection import DetectionTask as DetectionTask
from vicl.tasks.image import ColorizationTask as ColorizationTask
from vicl.tasks.segmentation import SegmentationTask as SegmentationTask
from vicl.tasks.table import TASKS as TASKS
from vicl.tasks.table import TaskName as TaskName
from vicl.tasks.table import draw_examples as draw_examples
from vicl.tasks.table import get_task as get_task
from vicl.tasks.task import MarkedTask as MarkedTask
from vicl.tasks.task import Reading as Reading
from vicl.tasks.task import Task as Task
