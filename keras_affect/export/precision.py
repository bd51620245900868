"""Models that compute in bfloat16 or float16, rebuilt in float32.

Training in mixed precision keeps weights in float32 and casts them at each step. Those casts
would stand in the exported graph, where LiteRT has no kernels for bfloat16, so the graph is
traced from a copy of the model with the same weights and a float32 policy.
"""

from __future__ import annotations

from typing import Any

__all__ = ["in_float32"]

_LOW = ("bfloat16", "float16", "mixed_bfloat16", "mixed_float16", "float64")


def in_float32(model: Any) -> Any:
    """The model itself where it computes in float32, else a copy that does.

    Raises:
        ValueError: If the model was quantized by Keras, or can't be rebuilt from the
            configuration of its layers.
    """
    import keras

    # Not public, but the only list that reaches layers inside wrappers and nested models.
    policies = [layer.dtype_policy for layer in model._flatten_layers()]
    if any(policy.quantization_mode is not None for policy in policies):
        raise ValueError(
            "Invalid value for argument `model`. Expected a model in floating point. Received: "
            f"model={model.name!r}, quantized by Keras; export it as it was before quantize()"
        )
    low = {policy.compute_dtype for policy in policies} & set(_LOW)
    if not low:
        return model
    previous = keras.config.dtype_policy()
    try:
        # For layers that make others in their own __init__.
        keras.config.set_dtype_policy("float32")
        # A bare graph of the same layers: cloning the model itself would rebuild its loss and
        # optimizer too.
        graph = keras.Model(model.input, model.output)
        copy = keras.models.clone_model(graph, clone_function=_rebuild, recursive=True)
        _copy_weights(graph, copy)
    except Exception as error:  # whatever a layer's own from_config may raise
        raise ValueError(
            f"Invalid value for argument `model`. Received: model={model.name!r}, which computes "
            f"in {', '.join(sorted(low))} and can't be rebuilt in float32 "
            f"({type(error).__name__}: {error}). Build it under the policy 'float32', load its "
            "weights, and export that"
        ) from error
    finally:
        keras.config.set_dtype_policy(previous)
    return copy


def _rebuild(layer: Any) -> Any:
    return type(layer).from_config(_float32_config(layer.get_config()))


def _float32_config(config: Any) -> Any:
    """The configuration with every dtype policy in it, at any depth, set to float32."""
    if isinstance(config, dict):
        if str(config.get("class_name", "")).endswith(("DTypePolicy", "DTypePolicyMap")):
            return "float32"
        return {
            key: "float32" if key == "dtype" and _is_low(value) else _float32_config(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_float32_config(value) for value in config)
    return config


def _is_low(value: Any) -> bool:
    return isinstance(value, str) and value in _LOW


def _copy_weights(source: Any, target: Any) -> None:
    # By name: the clone's layers need not stand in the same order.
    others = _layers_by_name(target)
    for name, layer in _layers_by_name(source).items():
        inner = _layers_by_name(layer)
        if inner and inner.keys() == _layers_by_name(others[name]).keys():
            _copy_weights(layer, others[name])
        else:
            others[name].set_weights(layer.get_weights())


def _layers_by_name(model: Any) -> dict[str, Any]:
    # Those with weights: inputs are named anew in a clone.
    return {layer.name: layer for layer in getattr(model, "layers", ()) if layer.weights}
