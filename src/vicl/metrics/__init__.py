"""How good an answer is: masks, boxes, and how sure a mean is.

Arrays in, floats out; no torch.  Edge maps, pictures and LPIPS have files of their own:
:mod:`vicl.metrics.edges`, :mod:`vicl.metrics.pictures` and :mod:`vicl.metrics.perceptual`.
"""

from vicl.metrics.scores import Interval as Interval
from vicl.metrics.scores import Statistic as Statistic
from vicl.metrics.scores import Values as Values
from vicl.metrics.scores import bootstrap_interval as bootstrap_interval
from vicl.metrics.scores import bootstrap_statistic as bootstrap_statistic
from vicl.metrics.scores import box_iou as box_iou
from vicl.metrics.scores import iou as iou
from vicl.metrics.scores import mean_of as mean_of
from vicl.metrics.scores import mean_of_known as mean_of_known
from vicl.metrics.scores import paired_interval as paired_interval
from vicl.metrics.scores import pixel_accuracy as pixel_accuracy
