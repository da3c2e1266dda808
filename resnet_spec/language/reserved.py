"""Reserved names, which no operation, block, argument or param can have."""

from __future__ import annotations

import keyword

from resnet_spec.language.spec import FACTS

STAGE_WORDS = ("block", "depth", "op", "ops", "if", "from", "init", "insert_before", "insert_after")
# Names a child of a torch.nn.Module cannot have; a test compares the list with torch's own.
MODULE_ATTRIBUTES = frozenset(
    """
    T_destination _apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl _forward_hooks
    _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs
    _get_backward_hooks _get_backward_pre_hooks _get_name _is_full_backward_hook _label _load_from_state_dict
    _load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules
    _named_members _non_persistent_buffers_set _outputs _parameters _parts _plan _register_load_state_dict_pre_hook
    _runs_in_order _register_state_dict_hook _replicate_for_data_parallel _save_to_state_dict _sequence _slow_forward
    _state_dict_hooks _state_dict_pre_hooks _version _wrapped_call_impl add_module apply bfloat16 buffers
    call_super_init children compile cpu cuda double dump_patches eval extra_repr float forward get_buffer
    get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia named_buffers named_children
    named_modules named_parameters parameters register_backward_hook register_buffer register_forward_hook
    register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule
    share_memory state_dict to to_empty train training type xpu zero_grad
    """.split()  # noqa: SIM905
)


def meaning_of_module_name(name: str) -> str:
    """Why a child of a module cannot have a name; empty if it can."""
    if keyword.iskeyword(name):
        return "a keyword of Python"
    if name in MODULE_ATTRIBUTES or (name.startswith("__") and name.endswith("__")):
        return "an attribute of torch.nn.Module"
    return ""


def is_reserved_variable(name: str) -> bool:
    """Whether a name already has a meaning in expressions."""
    return name in FACTS or name in STAGE_WORDS or name in ("classes", "true", "false") or keyword.iskeyword(name)
