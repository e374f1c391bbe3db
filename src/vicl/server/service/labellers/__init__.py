"""Labelling programs that ask vicl for a first answer: Label Studio and CVAT, by prompt files.

Each speaks its own protocol below a path of its own, which ends with the prompt's name. Images
come in the request, or lie in the folder that whoever runs the service named with `--media`: no
address of a request is opened. What fails is refused with a problem, by which both programs tell
people that there is no answer, and why.
"""
