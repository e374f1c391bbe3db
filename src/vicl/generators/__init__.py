"""Pictures painted from words, and from what stands where: boxes, keypoints, maps, a hole."""
