"""The functions that `import bench` offers: open a task, draw samples, evaluate them, and compare them."""
