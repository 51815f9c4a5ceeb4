"""Classes of COCO and of the built-in data: category id -> name."""

# The 20 PASCAL VOC classes under COCO's ids and names (paper, section 5).
COCO_VOC = {
    1: 'person', 2: 'bicycle', 3: 'car', 4: 'motorcycle', 5: 'airplane',
    6: 'bus', 7: 'train', 9: 'boat', 16: 'bird', 17: 'cat', 18: 'dog',
    19: 'horse', 20: 'sheep', 21: 'cow', 44: 'bottle', 62: 'chair',
    63: 'couch', 64: 'potted plant', 67: 'dining table', 72: 'tv'
}  # fmt: skip
COCO_NON_VOC = {
    8: 'truck', 10: 'traffic light', 11: 'fire hydrant', 13: 'stop sign',
    14: 'parking meter', 15: 'bench', 22: 'elephant', 23: 'bear', 24: 'zebra',
    25: 'giraffe', 27: 'backpack', 28: 'umbrella', 31: 'handbag', 32: 'tie',
    33: 'suitcase', 34: 'frisbee', 35: 'skis', 36: 'snowboard',
    37: 'sports ball', 38: 'kite', 39: 'baseball bat', 40: 'baseball glove',
    41: 'skateboard', 42: 'surfboard', 43: 'tennis racket', 46: 'wine glass',
    47: 'cup', 48: 'fork', 49: 'knife', 50: 'spoon', 51: 'bowl', 52: 'banana',
    53: 'apple', 54: 'sandwich', 55: 'orange', 56: 'broccoli', 57: 'carrot',
    58: 'hot dog', 59: 'pizza', 60: 'donut', 61: 'cake', 65: 'bed',
    70: 'toilet', 73: 'laptop', 74: 'mouse', 75: 'remote', 76: 'keyboard',
    77: 'cell phone', 78: 'microwave', 79: 'oven', 80: 'toaster', 81: 'sink',
    82: 'refrigerator', 84: 'book', 85: 'clock', 86: 'vase', 87: 'scissors',
    88: 'teddy bear', 89: 'hair drier', 90: 'toothbrush'
}  # fmt: skip

# The families of the built-in data (mmdet_owp/shapes/objects.py).
SHAPES_BASE = {
    1: 'rectangle', 2: 'ellipse', 3: 'triangle', 4: 'ring', 5: 'cross',
    6: 'star', 7: 'crescent', 8: 'hexagon'
}  # fmt: skip
SHAPES_NOVEL = {
    9: 'arrow', 10: 'heart', 11: 'gear', 12: 'l-shape', 13: 'lightning',
    14: 'flower', 15: 'drop', 16: 'horseshoe', 17: 'key', 18: 'bone',
    19: 'fish', 20: 'hourglass', 21: 'spiral', 22: 'pinwheel'
}  # fmt: skip
