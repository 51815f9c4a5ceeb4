# The metrics of every data set, for `val_evaluator` and `test_evaluator`. They
# take the annotation file and the partition from the data set.
recall = dict(
    type='ClassAgnosticRecallMetric',
    split=('novel', 'base'),
    protocol=('drop-base', 'exclude-base', 'oln'),
    proposal_nums=(10, 100),
)
# For detectors that classify, beside the other.
class_wise = dict(type='ClassWiseMetric')
