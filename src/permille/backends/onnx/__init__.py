"""ONNX models through onnxruntime, without torch: one module per kind of task."""
