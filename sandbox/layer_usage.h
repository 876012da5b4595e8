// How the writable layer of a container is counted: what stats::WritableLayers runs in the background. Thread-safe;
// `images` outlives what is returned.
#pragma once

#include "sandbox/stats/writable_layers.h"

namespace fermata::overlay {
class ImageStore;
}

namespace fermata::sandbox {

// `data_dir` lies on the file system of the layers. kNotFound: there is no layer of that id.
stats::WritableLayers::Measure LayerMeasure(const overlay::ImageStore& images, const std::string& data_dir);

}  // namespace fermata::sandbox
