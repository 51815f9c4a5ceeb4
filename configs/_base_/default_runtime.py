_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['mmdet_owp.register'])
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# The hook deletes the old checkpoint before it writes the new one: with two
# kept, a run that is killed in between still has one.
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
