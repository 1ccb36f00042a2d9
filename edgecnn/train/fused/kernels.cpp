// Batch norm with its activation, and depthwise convolution, forward and back, for channels-last pictures on a CPU.
//
// Compiled once for each type of value (compiled.py): VALUE_BFLOAT16 or float. All sums are float32 over a few rows
// and float64 beyond. Work is cut into pieces whose number doesn't depend on the threads, and the pieces' sums are added
// in their order: any number of threads gives the same bits.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

// --- sixteen values at a time ---------------------------------------------------------------------------------------

constexpr long WIDTH = 16;
using Floats = float __attribute__((vector_size(4 * WIDTH)));
using Words = uint32_t __attribute__((vector_size(4 * WIDTH)));
using Flags = int32_t __attribute__((vector_size(4 * WIDTH)));

template <class To, class From> inline To same_bits(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

inline Floats load(const float* from) {
  Floats values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

inline void store(float* to, const Floats& values) { std::memcpy(to, &values, sizeof values); }

#ifdef VALUE_BFLOAT16
using Value = uint16_t;  // the upper half of a float32
using Halves = uint16_t __attribute__((vector_size(2 * WIDTH)));

inline Floats load(const Value* from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  return same_bits<Floats>(__builtin_convertvector(halves, Words) << 16);
}

inline void store(Value* to, const Floats& values) {  // to the nearest, ties to even
  const Words bits = same_bits<Words>(values);
  const Halves halves = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, Halves);
  std::memcpy(to, &halves, sizeof halves);
}
#else
using Value = float;
#endif

inline Floats all(float value) { return Floats{} + value; }

inline Floats clamped(Floats values, Floats low, Floats high) {  // NaN stays NaN
  values = values < low ? low : values;
  return values > high ? high : values;
}

inline Floats where(Flags flags, Floats values) { return same_bits<Floats>(same_bits<Flags>(values) & flags); }

// --- batch norm and its activation ----------------------------------------------------------------------------------

constexpr long PIECES = 64, ROWS = 64;

// A picture's pixels as rows of `lanes` values, a multiple of 16; lane l holds channel l % channels.
struct Table {
  long rows, lanes, channels;

  long first(long piece) const { return rows * piece / PIECES; }
  double values_a_channel() const { return double(rows) * double(lanes / channels); }
};

// Two sums a lane, piece by piece, then a channel.
class Sums {
 public:
  explicit Sums(const Table& table) : table_(table), pieces_(2 * table.lanes * PIECES, 0.0) {}

  void add(long piece, long lane, const Floats& first, const Floats& second) {
    double* here = pieces_.data() + 2 * (piece * table_.lanes + lane);
    for (long i = 0; i < WIDTH; i++) {
      here[2 * i] += first[i];
      here[2 * i + 1] += second[i];
    }
  }

  void of_channel(long channel, double& first, double& second) const {
    first = second = 0.0;
    for (long place = channel; place < table_.lanes * PIECES; place += table_.channels) {
      first += pieces_[2 * place];
      second += pieces_[2 * place + 1];
    }
  }

 private:
  Table table_;
  std::vector<double> pieces_;
};

// A value a channel, repeated over the lanes.
std::vector<float> spread(const Table& table, const std::vector<float>& of_channels) {
  std::vector<float> of_lanes(table.lanes);
  for (long lane = 0; lane < table.lanes; lane++) of_lanes[lane] = of_channels[lane % table.channels];
  return of_lanes;
}

// sums of x - shift and of its square, over some rows of each lane
void count_values(const Value* x, const Table& table, const float* shift, Sums& sums) {
#pragma omp parallel for schedule(static)
  for (long piece = 0; piece < PIECES; piece++)
    for (long from = table.first(piece), end = table.first(piece + 1); from < end; from += ROWS) {
      const long to = from + ROWS < end ? from + ROWS : end;
      for (long lane = 0; lane < table.lanes; lane += WIDTH) {
        const Floats middle = load(shift + lane);
        Floats sum{}, squares{};
        for (long row = from; row < to; row++) {
          const Floats value = load(x + row * table.lanes + lane) - middle;
          sum += value;
          squares += value * value;
        }
        sums.add(piece, lane, sum, squares);
      }
    }
}

// sums of the gradient g, where the activation lets it pass, and of g * (x - mean)
void count_gradients(const Value* g, const Value* x, const Table& table, const float* scale, const float* offset,
                     const float* mean, float low, float high, Sums& sums) {
#pragma omp parallel for schedule(static)
  for (long piece = 0; piece < PIECES; piece++)
    for (long from = table.first(piece), end = table.first(piece + 1); from < end; from += ROWS) {
      const long to = from + ROWS < end ? from + ROWS : end;
      for (long lane = 0; lane < table.lanes; lane += WIDTH) {
        const Floats s = load(scale + lane), o = load(offset + lane), middle = load(mean + lane);
        Floats sum{}, products{};
        for (long row = from; row < to; row++) {
          const Floats value = load(x + row * table.lanes + lane), y = value * s + o;
          const Floats passed = where((y > low) & (y < high), load(g + row * table.lanes + lane));
          sum += passed;
          products += passed * (value - middle);
        }
        sums.add(piece, lane, sum, products);
      }
    }
}

// --- depthwise convolution ------------------------------------------------------------------------------------------

// Pictures [count, height, width, channels] become [count, rows, columns, channels].
struct Shape {
  long count, height, width, channels, rows, columns, stride, top, left;

  long first(long piece) const { return count * piece / PIECES; }
};

// Sixteen channels of one picture as float32, with zeros around it and, for a gradient, between its pixels.
class Canvas {
 public:
  Canvas(long height, long width) : height_(height), width_(width), values_(height * width * WIDTH, 0.0f) {}

  float* at(long row, long column) { return values_.data() + (row * width_ + column) * WIDTH; }

  // Pixel (r, c) goes to (top + r * apart, left + c * apart), where that is on the canvas; what is there between stays.
  void put(const Value* picture, long rows, long columns, long channels, long top, long left, long apart) {
    for (long r = 0; r < rows; r++) {
      const long row = top + r * apart;
      if (row < 0 || row >= height_) continue;
      for (long c = 0; c < columns; c++) {
        const long column = left + c * apart;
        if (column >= 0 && column < width_) store(at(row, column), load(picture + (r * columns + c) * channels));
      }
    }
  }

 private:
  long height_, width_;
  std::vector<float> values_;
};

template <long K> Canvas canvas_of_input(const Shape& shape) {
  return Canvas((shape.rows - 1) * shape.stride + K, (shape.columns - 1) * shape.stride + K);
}

// What `COUNT` pixels of a row see, each the K x K of the canvas that begin at S times its own place: met(pixel, tap,
// value) for each of them. A value of the canvas is read once for all pixels.
template <long K, long S, long COUNT, class Met>
inline void see(Canvas& canvas, long row, long column, const Met& met) {
  for (long i = 0; i < K; i++)
#pragma GCC unroll 16
    for (long q = 0; q < (COUNT - 1) * S + K; q++) {
      const Floats value = load(canvas.at(row * S + i, column * S + q));
#pragma GCC unroll 8
      for (long p = 0; p < COUNT; p++)
        if (q >= p * S && q < p * S + K) met(p, i * K + q - p * S, value);
    }
}

template <long K, long S, long COUNT>
inline void correlate_some(Canvas& canvas, const Floats* taps, Value* out, long row, long column, long channels) {
  Floats sums[COUNT] = {};
  see<K, S, COUNT>(canvas, row, column, [&](long p, long tap, const Floats& value) { sums[p] += value * taps[tap]; });
  for (long p = 0; p < COUNT; p++) store(out + p * channels, sums[p]);
}

template <long K, long S>
void correlate(Canvas& canvas, const Floats* taps, Value* out, long rows, long columns, long channels) {
  for (long r = 0; r < rows; r++) {
    long c = 0;
    for (; c + 4 <= columns; c += 4) correlate_some<K, S, 4>(canvas, taps, out + (r * columns + c) * channels, r, c, channels);
    for (; c < columns; c++) correlate_some<K, S, 1>(canvas, taps, out + (r * columns + c) * channels, r, c, channels);
  }
}

// weights: float [K * K, channels]
template <long K, long S> void convolve(const Value* x, const float* weights, Value* out, const Shape& shape) {
#pragma omp parallel
  {
    Canvas canvas = canvas_of_input<K>(shape);
#pragma omp for schedule(static)
    for (long n = 0; n < shape.count; n++)
      for (long channel = 0; channel < shape.channels; channel += WIDTH) {
        Floats taps[K * K];
        for (long k = 0; k < K * K; k++) taps[k] = load(weights + k * shape.channels + channel);
        const Value* picture = x + n * shape.height * shape.width * shape.channels + channel;
        canvas.put(picture, shape.height, shape.width, shape.channels, shape.top, shape.left, 1);
        Value* made = out + n * shape.rows * shape.columns * shape.channels + channel;
        correlate<K, S>(canvas, taps, made, shape.rows, shape.columns, shape.channels);
      }
  }
}

// The input's gradient: what each output saw of a pixel, which is a convolution of the spread-out gradient with the
// kernel turned by 180 degrees.
template <long K>
void gradient_of_input(const Value* g, const float* weights, Value* of_x, const Shape& shape, Canvas& canvas) {
  Floats turned[K * K];
  for (long k = 0; k < K * K; k++) turned[K * K - 1 - k] = load(weights + k * shape.channels);
  canvas.put(g, shape.rows, shape.columns, shape.channels, K - 1 - shape.top, K - 1 - shape.left, shape.stride);
  correlate<K, 1>(canvas, turned, of_x, shape.height, shape.width, shape.channels);
}

// `COUNT` pixels' gradients times what each tap saw.
template <long K, long S, long COUNT>
inline void add_products(const Value* g, Floats* of_taps, Canvas& canvas, long row, long column, const Shape& shape) {
  Floats gradients[COUNT];
  for (long p = 0; p < COUNT; p++) gradients[p] = load(g + p * shape.channels);
  see<K, S, COUNT>(canvas, row, column,
                   [&](long p, long tap, const Floats& value) { of_taps[tap] += gradients[p] * value; });
}

// The weights' gradient over one picture, added to sums [K * K, channels].
template <long K, long S>
void gradient_of_weights(const Value* g, const Value* x, double* sums, const Shape& shape, Canvas& canvas) {
  canvas.put(x, shape.height, shape.width, shape.channels, shape.top, shape.left, 1);
  Floats of_taps[K * K] = {};
  for (long r = 0; r < shape.rows; r++) {
    const Value* row = g + r * shape.columns * shape.channels;
    long c = 0;
    for (; c + 4 <= shape.columns; c += 4) add_products<K, S, 4>(row + c * shape.channels, of_taps, canvas, r, c, shape);
    for (; c < shape.columns; c++) add_products<K, S, 1>(row + c * shape.channels, of_taps, canvas, r, c, shape);
  }
  for (long k = 0; k < K * K; k++)
    for (long i = 0; i < WIDTH; i++) sums[k * shape.channels + i] += of_taps[k][i];
}

// of_x may be null, where nobody wants it.
template <long K, long S>
void convolve_back(const Value* g, const Value* x, const float* weights, Value* of_x, float* of_weights,
                   const Shape& shape) {
  const long taps = K * K * shape.channels;
  std::vector<double> sums(taps * PIECES, 0.0);
#pragma omp parallel
  {
    Canvas of_output(shape.height + K - 1, shape.width + K - 1), of_input = canvas_of_input<K>(shape);
#pragma omp for schedule(static)
    for (long piece = 0; piece < PIECES; piece++)
      for (long n = shape.first(piece); n < shape.first(piece + 1); n++)
        for (long channel = 0; channel < shape.channels; channel += WIDTH) {
          const Value* gradient = g + n * shape.rows * shape.columns * shape.channels + channel;
          const long picture = n * shape.height * shape.width * shape.channels + channel;
          if (of_x) gradient_of_input<K>(gradient, weights + channel, of_x + picture, shape, of_output);
          gradient_of_weights<K, S>(gradient, x + picture, sums.data() + piece * taps + channel, shape, of_input);
        }
  }
  for (long i = 0; i < taps; i++) {
    double sum = 0.0;
    for (long piece = 0; piece < PIECES; piece++) sum += sums[piece * taps + i];
    of_weights[i] = float(sum);
  }
}

}  // namespace

// --- what norm.py and depthwise.py call -----------------------------------------------------------------------------

extern "C" {

// out = min(max((x - mean) * inverse * weight + bias, low), high), and mean and inverse = 1 / sqrt(variance + eps) of
// each channel; running statistics move towards the batch's by `momentum`, the variance's being the unbiased one.
void norm_forward(const Value* x, Value* out, long rows, long lanes, long channels, const float* weight,
                  const float* bias, double eps, double momentum, float* running_mean, float* running_variance,
                  float* mean, float* inverse, float low, float high) {
  const Table table{rows, lanes, channels};
  std::vector<float> shift(lanes), scale(channels), offset(channels);
  for (long lane = 0; lane < lanes; lane++) {  // any value near the others keeps squares small
    float some[WIDTH];
    store(some, load(x + lane % channels / WIDTH * WIDTH));
    shift[lane] = some[lane % channels % WIDTH];
  }
  Sums sums(table);
  count_values(x, table, shift.data(), sums);
  const double count = table.values_a_channel();
  for (long c = 0; c < channels; c++) {
    double sum, squares;
    sums.of_channel(c, sum, squares);
    const double away = sum / count, spread_out = squares / count - away * away;
    const double variance = spread_out < 0.0 ? 0.0 : spread_out;  // NaN stays NaN
    mean[c] = float(shift[c] + away);
    inverse[c] = float(1.0 / std::sqrt(variance + eps));
    scale[c] = weight[c] * inverse[c];
    offset[c] = bias[c] - mean[c] * scale[c];
    running_mean[c] += float(momentum * (mean[c] - running_mean[c]));
    running_variance[c] += float(momentum * (variance * count / (count - 1.0) - running_variance[c]));
  }
  const std::vector<float> scales = spread(table, scale), offsets = spread(table, offset);
  const Floats least = all(low), most = all(high);
#pragma omp parallel for schedule(static)
  for (long piece = 0; piece < PIECES; piece++)
    for (long row = table.first(piece); row < table.first(piece + 1); row++)
      for (long lane = 0; lane < lanes; lane += WIDTH) {
        const long place = row * lanes + lane;
        store(out + place, clamped(load(x + place) * load(&scales[lane]) + load(&offsets[lane]), least, most));
      }
}

// The gradients of norm_forward's x, weight and bias, from that of its `out`.
void norm_backward(const Value* g, const Value* x, Value* of_x, long rows, long lanes, long channels,
                   const float* weight, const float* bias, const float* mean, const float* inverse, float* of_weight,
                   float* of_bias, float low, float high) {
  const Table table{rows, lanes, channels};
  std::vector<float> scale(channels), offset(channels), slope(channels), base(channels);
  for (long c = 0; c < channels; c++) {
    scale[c] = weight[c] * inverse[c];
    offset[c] = bias[c] - mean[c] * scale[c];
  }
  const std::vector<float> scales = spread(table, scale), offsets = spread(table, offset);
  const std::vector<float> means = spread(table, std::vector<float>(mean, mean + channels));
  Sums sums(table);
  count_gradients(g, x, table, scales.data(), offsets.data(), means.data(), low, high, sums);
  const double count = table.values_a_channel();
  for (long c = 0; c < channels; c++) {  // of_x = scale * (g - mean(g) - (x - mean) * inverse^2 * mean(g * (x - mean)))
    double sum, products;
    sums.of_channel(c, sum, products);
    of_bias[c] = float(sum);
    of_weight[c] = float(products * inverse[c]);
    const double along = double(inverse[c]) * inverse[c] * products / count;
    slope[c] = float(-scale[c] * along);
    base[c] = float(scale[c] * (mean[c] * along - sum / count));
  }
  const std::vector<float> slopes = spread(table, slope), bases = spread(table, base);
#pragma omp parallel for schedule(static)
  for (long piece = 0; piece < PIECES; piece++)
    for (long row = table.first(piece); row < table.first(piece + 1); row++)
      for (long lane = 0; lane < lanes; lane += WIDTH) {
        const long place = row * lanes + lane;
        const Floats value = load(x + place), s = load(&scales[lane]), y = value * s + load(&offsets[lane]);
        const Floats passed = where((y > low) & (y < high), load(g + place));
        store(of_x + place, passed * s + value * load(&slopes[lane]) + load(&bases[lane]));
      }
}

void depthwise_forward(const Value* x, const float* weights, Value* out, long kernel, long count, long height,
                       long width, long channels, long rows, long columns, long stride, long top, long left) {
  const Shape shape{count, height, width, channels, rows, columns, stride, top, left};
  const auto forward = stride == 1 ? (kernel == 3 ? convolve<3, 1> : convolve<5, 1>)
                                   : (kernel == 3 ? convolve<3, 2> : convolve<5, 2>);
  forward(x, weights, out, shape);
}

void depthwise_backward(const Value* g, const Value* x, const float* weights, Value* of_x, float* of_weights,
                        long kernel, long count, long height, long width, long channels, long rows, long columns,
                        long stride, long top, long left) {
  const Shape shape{count, height, width, channels, rows, columns, stride, top, left};
  const auto back = stride == 1 ? (kernel == 3 ? convolve_back<3, 1> : convolve_back<5, 1>)
                                : (kernel == 3 ? convolve_back<3, 2> : convolve_back<5, 2>);
  back(g, x, weights, of_x, of_weights, shape);
}
}
