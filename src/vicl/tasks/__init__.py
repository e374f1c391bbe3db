"""Tasks: how an annotation is drawn as an image, and read back from one."""

from vicl.tasks.tasks import TASK_NAMES as TASK_NAMES
from vicl.tasks.tasks import ColorizationTask as ColorizationTask
from vicl.tasks.tasks import DetectionTask as DetectionTask
from vicl.tasks.tasks import EdgesTask as EdgesTask
from vicl.tasks.tasks import ImageTask as ImageTask
from vicl.tasks.tasks import Reading as Reading
from vicl.tasks.tasks import SegmentationTask as SegmentationTask
from vicl.tasks.tasks import Task as Task
from vicl.tasks.tasks import TaskName as TaskName
from vicl.tasks.tasks import draw_examples as draw_examples
from vicl.tasks.tasks import get_task as get_task
