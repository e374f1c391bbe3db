"""Prompts and segmenters as graphs that run without vicl and without PyTorch (ONNX)."""
