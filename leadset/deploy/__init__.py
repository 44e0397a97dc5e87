"""Entries as ONNX files: exporting them, and answering with them where PyTorch is not installed."""
