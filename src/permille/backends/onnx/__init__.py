"""ONNX models through onnxruntime, without torch: one module a kind of task."""
