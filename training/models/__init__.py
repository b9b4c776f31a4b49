"""Models as `nn.Module`s, one file each; they know no configuration, optimiser or device."""
