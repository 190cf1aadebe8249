"""The one place that builds ONNX graphs: builder, tree emitter, parity check."""
