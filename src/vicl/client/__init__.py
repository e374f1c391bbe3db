"""A thin client of `vicl serve`, sync and async; needs the extra: pip install "vicl[client]"."""

from vicl.client.asking import AsyncClient as AsyncClient
from vicl.client.asking import Client as Client
from vicl.client.replies import Job as Job
from vicl.client.replies import Prediction as Prediction
from vicl.client.replies import ServiceError as ServiceError
from vicl.client.sending import Picture as Picture
from vicl.client.sending import Pixels as Pixels
