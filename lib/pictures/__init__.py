"""Pictures: grids of images, scatters of points, curves of metrics."""
